"""The data set of a style: world pictures in a manner, the style's word before their words."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from luciole.data.pictures import Pictures, Shard, Split
from luciole.data.stream import Batch, Chances, Source
from luciole.storyworld import sample_scene
from luciole.storyworld.manners import drawn_in, manners_version


@dataclass(frozen=True)
class StyledShard(Shard):
    """A shard of the plain world drawn again in a manner, beside it; words and people are its."""

    manner: str

    @property
    def images(self) -> Path:
        """Of this manner and of this version of the manners."""
        name = f"{self.manner.replace(' ', '_')}-{manners_version()}"
        return self.folder / f"{self.index:05}.{name}.npy"

    def draw(self) -> None:
        """Write the pictures under a temporary name, then rename."""
        seeds = range(self.index * self.count, (self.index + 1) * self.count)
        scenes = (sample_scene(seed, self.split) for seed in seeds)
        images = [drawn_in(self.manner, scene, self.size, self.size) for scene in scenes]
        part = self.images.with_suffix(f".{os.getpid()}.tmp.npy")
        np.save(part, np.stack(images))
        part.replace(self.images)


class StyledPictures(Pictures):
    """Pictures in a manner, with the words of the plain ones."""

    @classmethod
    def in_manner(
        cls,
        manner: str,
        count: int,
        folder: str,
        split: Split,
        size: int,
        workers: int,
        shard: int,
    ) -> Self:
        """Draw what is not yet under `folder`, both plain and in the manner."""
        plain = Pictures.draw(count, folder, split, size, workers, shard)
        shards = [
            StyledShard(file.parent, index, shard, split, size, manner)
            for index, file in enumerate(plain.files)
        ]
        for one in shards:
            if not one.drawn:
                one.draw()
        return cls(shards, count)


class Called:
    """Another source's rows, a trigger word before their words; empty words stay empty.

    It comes first so that the end of the text encoders' window never cuts it off.
    """

    def __init__(self, source: Source, trigger: str) -> None:
        if not trigger.strip():
            raise ValueError("trigger: a style needs a word that calls it")
        self.source, self.trigger = source, trigger

    def __len__(self) -> int:
        return len(self.source)

    def provenance(self) -> dict[str, Any]:
        """The source's."""
        return self.source.provenance()

    def gather(self, rows: NDArray[np.int64], chances: Chances, step: int) -> Batch:
        """What the source gives."""
        batch = self.source.gather(rows, chances, step)
        words = [caption and f"{self.trigger}, {caption}" for caption in batch["captions"]]
        return {**batch, "captions": words}


class CalledInBuckets(Called):
    """The same where rows differ in shape."""

    source: Any

    @property
    def groups(self) -> NDArray[np.integer]:
        """The source's."""
        groups: NDArray[np.integer] = self.source.groups
        return groups


class WithPrior:
    """A style's rows, some of them replaced by plain ones with plain words.

    So the model keeps what it knew and learns that the style belongs to its word (prior
    preservation, arXiv:2208.12242, section 3.2). A plain row's loss counts `weight`.
    """

    def __init__(self, style: Source, prior: Source, share: float, weight: float) -> None:
        if not 0 <= share < 1:
            raise ValueError(f"share: {share} of plain pictures; give 0 or more, and less than 1")
        self.style, self.prior, self.share, self.weight = style, prior, share, weight

    def __len__(self) -> int:
        return len(self.style)

    def provenance(self) -> dict[str, Any]:
        """The style's, with the prior's inside."""
        return {**self.style.provenance(), "prior": self.prior.provenance()}

    def gather(self, rows: NDArray[np.int64], chances: Chances, step: int) -> Batch:
        """What both sources give, and `weight` float [n]."""
        plain = np.array([chance.random() < self.share for chance in chances])
        others = [int(chance.integers(len(self.prior))) for chance in chances]
        rows = np.where(plain, others, rows)
        parts = [
            (places, source.gather(rows[places], [chances[int(place)] for place in places], step))
            for source, places in (
                (self.style, np.flatnonzero(~plain)),
                (self.prior, np.flatnonzero(plain)),
            )
            if len(places)
        ]
        counted = np.where(plain, self.weight, 1.0).astype(np.float32)
        return {**_together(parts, len(rows)), "weight": torch.from_numpy(counted)}


def _together(parts: list[tuple[NDArray[np.int64], Batch]], count: int) -> dict[str, Any]:
    """Each part's values at its places."""
    keys = [set(batch) for _, batch in parts]
    if keys[0] != keys[-1]:
        raise ValueError(f"prior: one source gives {keys[0] ^ keys[-1]}, the other does not")
    whole: dict[str, Any] = {}
    for key, first in parts[0][1].items():
        whole[key] = _room(first, count)
        for places, batch in parts:
            for place, value in zip(places, batch[key], strict=True):
                whole[key][place] = value
    return whole


def _room(first: Any, count: int) -> Any:
    """Room for `count` values of this kind."""
    return first.new_empty(count, *first.shape[1:]) if isinstance(first, Tensor) else [""] * count
