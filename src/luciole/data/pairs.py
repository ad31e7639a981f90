"""The same character twice: a reference picture, and another pose in other clothes elsewhere."""

import ast
import hashlib
import json
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from itertools import count as count_from
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from rich.progress import track

import luciole.storyworld as storyworld
from luciole.data.crops import as_tensor
from luciole.data.latents import CaptionedLatents, Latents
from luciole.data.pictures import CELL, Pictures, Shard, Split, world_version
from luciole.data.stream import Batch, Chances
from luciole.storyworld import Identity, Scene

LOOKS = ("person", "hair_color", "hair_style", "skin", "accessory")
"""What makes a character; clothes change."""
REFERENCES = ("close-up", "medium shot")
"""The framings that show all of it."""
_TRIES = 1 << 20
"""Seeds of the world that one pair may look through."""
_COLORS, _STYLES, _SKINS = (
    "|".join(storyworld.ATTRIBUTES[kind]) for kind in ("hair_color", "hair_style", "skin")
)
_HAIR = rf"(?:(?:{_STYLES}) )?(?:{_COLORS}) (?:hair(?: in a (?:{_STYLES}))?|twintails)"
_WORN = "glasses|a straw hat|straw hat|a scarf|scarf|headphones"
_UNNAMED = (
    (rf" with {_HAIR}(?: and (?:{_SKINS}) skin)?", ""),
    (rf" with (?:{_WORN})", ""),
    (rf", (?:(?:{_COLORS}) hair|(?:short|long|curly) hair|{_STYLES})(?=,|$)", ""),
    (rf", (?:(?:{_SKINS}) skin|{_WORN})(?=,|$)", ""),
)


def without_looks(caption: str) -> str:
    """The caption with hair, skin and accessory left out, for the reference to tell."""
    for pattern, replacement in _UNNAMED:
        caption = re.sub(pattern, replacement, caption)
    return caption


def held_out_character(identity: Identity) -> bool:
    """One character in ten, whatever it wears: no pair that trains an adapter shows it."""
    return zlib.crc32("|".join(getattr(identity, look) for look in LOOKS).encode()) % 10 == 0


def sample_pair(seed: int, split: Split) -> tuple[Scene, Scene]:
    """Reference and target of one seed.

    The target is a scene of the split with one person, seen closely enough to know it again. A
    held-out pair is of a held-out character, in a scene that the base model was not shown either.
    """
    target = next(scene for scene in _scenes(2 * seed, split) if _knowable(scene, split))
    who = {look: getattr(target.actors[0].identity, look) for look in LOOKS}
    for scene in _scenes(2 * seed + 1, split):
        actor = scene.actors[0]
        dressed = replace(actor.identity, **who)
        odd = who["person"] == "boy" and dressed.outfit == "dress"
        if not odd and (split == "held_out" or not dressed.held_out):
            shot = REFERENCES[seed % len(REFERENCES)]
            alone = (replace(actor, identity=dressed),)
            return replace(scene, actors=alone, shot=shot, angle="eye level"), target
    raise AssertionError("the world's scenes do not end")


def _scenes(stream: int, split: Split) -> Iterator[Scene]:
    return (storyworld.sample_scene(seed, split) for seed in count_from(stream * _TRIES))


def _knowable(scene: Scene, split: Split) -> bool:
    if len(scene.actors) > 1 or scene.shot == "extreme close-up":
        return False
    return held_out_character(scene.actors[0].identity) == (split == "held_out")


@dataclass(frozen=True)
class PairShard(Shard):
    """`count` pairs; the targets are a shard of pictures, the references lie beside them."""

    @property
    def references(self) -> Path:
        """The same characters, `uint8 [count, size, size, 3]`."""
        return self.folder / f"{self.index:05}.references.npy"

    @property
    def drawn(self) -> bool:
        """Whether all files are there."""
        return super().drawn and self.references.exists()

    def draw(self) -> None:
        """Write the files under temporary names, then rename: the pictures' file comes last."""
        images, references = (
            np.empty((self.count, self.size, self.size, 3), np.uint8) for _ in range(2)
        )
        people = np.empty((self.count, self.size // CELL, self.size // CELL), np.uint8)
        lines = []
        for row in range(self.count):
            seed = self.index * self.count + row
            reference, target = sample_pair(seed, self.split)
            shown = storyworld.render(reference, self.size, self.size, maps=False)
            picture = storyworld.render(target, self.size, self.size)
            references[row], images[row], people[row] = (
                shown.image,
                picture.image,
                _covered(picture),
            )
            lines.append(json.dumps(_words(target, seed, self.split)))
        mark = f".{os.getpid()}.tmp"
        words = self.words.with_suffix(mark)
        words.write_text("\n".join(lines) + "\n")
        words.replace(self.words)
        files = (self.people, people), (self.references, references), (self.images, images)
        for place, values in files:
            part = place.with_suffix(mark + ".npy")
            np.save(part, values)
            part.replace(place)


def _covered(picture: storyworld.Picture) -> UInt8[np.ndarray, "h/8 w/8"]:
    if picture.masks is None:
        raise ValueError("masks: the picture was drawn without them")
    rows, columns = (side // CELL for side in picture.masks.shape[1:])
    cells = picture.masks.any(axis=0).reshape(rows, CELL, columns, CELL)
    share: NDArray[np.uint8] = np.round(cells.mean(axis=(1, 3)) * 255).astype(np.uint8)
    return share


def _words(target: Scene, seed: int, split: Split) -> dict[str, Any]:
    """Two wordings in six name the looks; held-out ones never do, so that only the eye can tell."""
    full = storyworld.captions(target, seed)
    unnamed = [without_looks(caption) for caption in full]
    return {
        "seed": seed,
        "captions": [*unnamed, *full[:2]] if split == "train" else unnamed,
        "labels": target.labels(),
        "readable": sorted(target.readable()),
    }


class Pairs(Pictures):
    """The targets as captioned pictures by index, and a reference for each."""

    def __init__(self, shards: Sequence[PairShard], count: int) -> None:
        super().__init__(shards, count)
        self._references = [np.load(shard.references, mmap_mode="r") for shard in shards]
        self._per = shards[0].count

    def references(self, rows: NDArray[np.int64]) -> UInt8[np.ndarray, "n h w 3"]:
        """Copies of the chosen rows' references."""
        return np.stack([self._references[row // self._per][row % self._per] for row in rows])

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
        if size % CELL:
            raise ValueError(f"size: {size} pixels are not a multiple of {CELL}")
        shards = _shards(count, folder, split, size, shard)
        shards[0].folder.mkdir(parents=True, exist_ok=True)
        draw_missing(shards, workers)
        return cls(shards, count)

    @classmethod
    def drawn(cls, count: int, folder: str, split: Split, size: int, shard: int) -> tuple[int, int]:
        """How many shards are on disk already, and how many `draw` would want; draws nothing."""
        shards = _shards(count, folder, split, size, shard)
        return sum(one.drawn for one in shards), len(shards)


def _shards(count: int, folder: str, split: Split, size: int, shard: int) -> list[PairShard]:
    place = Path(folder) / f"{_version()}-pairs-{split}-{size}-{shard}"
    return [PairShard(place, i, shard, split, size) for i in range(-(-count // shard))]


def draw_missing(shards: Sequence[Any], workers: int) -> None:
    """Those that are not on disk yet, in this process or in several that start from nothing."""
    missing = [shard for shard in shards if not shard.drawn]
    if workers <= 1 or not missing:
        for shard in missing:
            shard.draw()
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        jobs = [pool.submit(shard.draw) for shard in missing]
        for job in track(as_completed(jobs), "drawing shards", len(jobs)):
            job.result()


def _version() -> str:
    """Of the world and of this file: changed pairs are a new data set."""
    code = ast.dump(ast.parse(Path(__file__).read_text("utf-8")))
    return hashlib.sha256((world_version() + code).encode()).hexdigest()[:12]


class PairedLatents(CaptionedLatents):
    """Targets as latents with a wording each, and the reference's pixels.

    Some samples lose their words, some their reference, some both: guidance needs to know what the
    denoiser says without them.
    """

    def __init__(
        self,
        latents: Latents,
        drop_text: float,
        drop_image: float,
        drop_both: float,
        focus: float = 0.0,
    ) -> None:
        if not isinstance(latents.pictures, Pairs):
            raise ValueError("pictures: an identity is learned from pairs, see luciole.data.pairs")
        super().__init__(latents, drop=0.0, focus=focus)
        self.pairs: Pairs = latents.pictures
        self._until = np.cumsum([drop_both, drop_text, drop_image])
        if self._until[-1] > 1:
            raise ValueError("drop rates: together they are more than 1")

    def gather(self, rows: NDArray[np.int64], chances: Chances, step: int) -> Batch:
        """Also `references` float [n, 3, h, w] in -1..1, `shown` bool [n], `labels` by kind."""
        batch = dict(super().gather(rows, chances, step))
        fates = np.array([np.searchsorted(self._until, one.random(), "right") for one in chances])
        captions = zip(batch["captions"], fates, strict=True)
        batch["captions"] = ["" if fate < 2 else caption for caption, fate in captions]
        batch["shown"] = torch.from_numpy((fates != 0) & (fates != 2))
        batch["references"] = as_tensor(self.pairs.references(rows))
        batch["labels"] = [self.pairs.words[row]["labels"] for row in rows]
        return batch
