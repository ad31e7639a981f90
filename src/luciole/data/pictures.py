"""Drawn storyworld pictures on disk: memory-mapped, in shards, drawn once."""

import ast
import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from jaxtyping import Float32, UInt8
from numpy.typing import NDArray
from rich.progress import track

import luciole.storyworld as storyworld
from luciole.data.lines import JsonLines

Split = Literal["train", "held_out"]
CELL = 8
"""Pixels a side of what one latent stands for."""
LICENCE = "Apache-2.0"
"""Of all that the world draws."""


def world_version() -> str:
    """Hash of the world's code without comments and layout: a changed world is a new data set."""
    digest = hashlib.sha256()
    for source in sorted(Path(str(storyworld.__file__)).parent.glob("*.py")):
        digest.update(ast.dump(ast.parse(source.read_text())).encode())
    return digest.hexdigest()[:12]


@dataclass(frozen=True)
class Shard:
    """`count` scenes with consecutive seeds; any of them can be drawn again from its seed."""

    folder: Path
    index: int
    count: int
    split: Split
    size: int

    @property
    def images(self) -> Path:
        """The pictures, `uint8 [count, size, size, 3]`."""
        return self.folder / f"{self.index:05}.npy"

    @property
    def words(self) -> Path:
        """One JSON line a picture: seed, captions, labels, and the kinds that can be read."""
        return self.folder / f"{self.index:05}.jsonl"

    @property
    def people(self) -> Path:
        """How much of each cell of 8 x 8 pixels people cover: `uint8 [count, size/8, size/8]`."""
        return self.folder / f"{self.index:05}.people.npy"

    @property
    def drawn(self) -> bool:
        """Whether all files are there."""
        return self.images.exists() and self.words.exists() and self.people.exists()

    def scene(self, seed: int) -> storyworld.Scene:
        """What is drawn for a seed."""
        return storyworld.sample_scene(seed, self.split)

    def wordings(self, scene: storyworld.Scene, seed: int) -> list[str]:
        """How the picture of a seed is described."""
        return list(storyworld.captions(scene, seed))

    def draw(self) -> None:
        """Write the files under temporary names, then rename: the pictures' file comes last."""
        seeds = range(self.index * self.count, (self.index + 1) * self.count)
        images = np.empty((self.count, self.size, self.size, 3), np.uint8)
        people = np.empty((self.count, self.size // CELL, self.size // CELL), np.uint8)
        lines = []
        for row, seed in enumerate(seeds):
            scene = self.scene(seed)
            picture = storyworld.render(scene, self.size, self.size)
            images[row], people[row] = picture.image, _covered(picture)
            lines.append(json.dumps(_words(scene, seed, self.wordings(scene, seed))))
        mark = f".{os.getpid()}.tmp"
        words = self.words.with_suffix(mark)
        words.write_text("\n".join(lines) + "\n")
        words.replace(self.words)
        for place, values in ((self.people, people), (self.images, images)):
            part = place.with_suffix(mark + ".npy")
            np.save(part, values)
            part.replace(place)


def _covered(picture: storyworld.Picture) -> NDArray[np.uint8]:
    masks = picture.masks
    if masks is None:
        raise ValueError("masks: the picture was drawn without them")
    covered = masks.any(axis=0)
    rows, columns = covered.shape[0] // CELL, covered.shape[1] // CELL
    share = covered.reshape(rows, CELL, columns, CELL).mean(axis=(1, 3))
    cells: NDArray[np.uint8] = np.round(share * 255).astype(np.uint8)
    return cells


def _words(scene: storyworld.Scene, seed: int, wordings: list[str]) -> dict[str, Any]:
    return {
        "seed": seed,
        "captions": wordings,
        "labels": scene.labels(),
        "readable": sorted(scene.readable()),
    }


class Pictures:
    """Captioned pictures by index; the pixels stay on disk until a row is read."""

    def __init__(self, shards: Sequence[Shard], count: int) -> None:
        self.size, self._shard = shards[0].size, shards[0].count
        self.files = [shard.images for shard in shards]
        self._images = [np.load(shard.images, mmap_mode="r") for shard in shards]
        self._people = [np.load(shard.people, mmap_mode="r") for shard in shards]
        self.words = JsonLines([shard.words for shard in shards], count)

    def __len__(self) -> int:
        return len(self.words)

    def images(self, rows: Sequence[int] | NDArray[np.int64]) -> UInt8[np.ndarray, "n h w 3"]:
        """Copies of the chosen pictures."""
        return np.stack([self._images[row // self._shard][row % self._shard] for row in rows])

    def people(self, row: int) -> Float32[np.ndarray, "h/8 w/8"]:
        """The share of each cell of 8 x 8 pixels that people cover, 0 to 1."""
        covered: NDArray[np.uint8] = self._people[row // self._shard][row % self._shard]
        return covered.astype(np.float32) / np.float32(255)

    def captions(self, row: int) -> list[str]:
        """All wordings for one picture; the first is a list of tags."""
        wordings: list[str] = self.words[row]["captions"]
        return wordings

    def provenance(self) -> dict[str, Any]:
        """The seeds and the world's version say all of the content."""
        digest = hashlib.sha256(str(len(self)).encode())
        for file in self.files:
            digest.update(f"{file.parent.name}/{file.name}".encode())
        return {
            "source": f"storyworld {self.files[0].parent.name.split('-')[0]}",
            "pictures": len(self),
            "licences": {LICENCE: len(self)},
            "opted_out": 0,
            "unreadable": 0,
            "content": digest.hexdigest()[:16],
        }

    @classmethod
    def draw(
        cls,
        count: int,
        folder: str,
        split: Split = "train",
        size: int = 128,
        workers: int = 2,
        shard: int = 512,
    ) -> Self:
        """Draw what is not yet under `folder`; shards of a smaller `count` are kept."""
        place = place_of(folder, split, size, shard)
        shards = [Shard(place, i, shard, split, size) for i in range(-(-count // shard))]
        return cls(on_disk(shards, workers), count)

    @classmethod
    def drawn(cls, count: int, folder: str, split: Split, size: int, shard: int) -> tuple[int, int]:
        """How many shards are on disk already, and how many `draw` would want; draws nothing."""
        place, wanted = place_of(folder, split, size, shard), -(-count // shard)
        there = sum(Shard(place, i, shard, split, size).drawn for i in range(wanted))
        return there, wanted

    @classmethod
    def draw_both_splits(
        cls, count: int, first_held_out: int, folder: str, size: int, workers: int, shard: int
    ) -> Self:
        """Half of either split, in whole shards; held-out seeds begin at `first_held_out`.

        For whoever must not learn which combinations are held out, as a judge must not.
        """
        half, skipped = -(-count // (2 * shard)), -(-first_held_out // shard)
        train, held_out = (place_of(folder, split, size, shard) for split in ("train", "held_out"))
        shards = [Shard(train, i, shard, "train", size) for i in range(half)]
        shards += [Shard(held_out, skipped + i, shard, "held_out", size) for i in range(half)]
        return cls(on_disk(shards, workers), 2 * half * shard)


def place_of(folder: str, split: str, size: int, shard: int) -> Path:
    """The folder of a version of the world; ValueError for a size that no latent fits."""
    if size % CELL:
        raise ValueError(f"size: {size} pixels are not a multiple of {CELL}")
    return Path(folder) / f"{world_version()}-{split}-{size}-{shard}"


def on_disk(shards: Sequence[Shard], workers: int) -> Sequence[Shard]:
    """The same shards, all of them on disk."""
    missing = [shard for shard in shards if not shard.drawn]
    for shard in missing:
        shard.folder.mkdir(parents=True, exist_ok=True)
    if missing:
        _draw_all(missing, workers)
    return shards


def _draw_all(shards: Sequence[Shard], workers: int) -> None:
    """In this process, or with a bar in several that each start from nothing."""
    if workers <= 1:
        for shard in shards:
            shard.draw()
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        jobs = [pool.submit(shard.draw) for shard in shards]
        what = f"drawing shards of {shards[0].count} pictures"
        for job in track(as_completed(jobs), what, len(jobs)):
            job.result()
