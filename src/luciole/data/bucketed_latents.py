"""An album's pictures in aspect buckets, encoded once and kept on disk."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from rich.progress import track

from luciole.data.ahead import ahead
from luciole.data.album import Album
from luciole.data.buckets import Buckets
from luciole.data.latents import encode, encoder_hash
from luciole.data.store import Keys, Store, key_of
from luciole.data.stream import Batch, Chances
from luciole.data.windows import Crop, Windows, told

ENCODED = "bf16, alone, 1"
"""How `encode` is used; another number when its result or the pixels before it change."""
PACK = 1 << 25
"""Values that are written at a time."""


class BucketedLatents:
    """Posteriors of what is kept of each picture, memory-mapped, fp16; a batch draws from them.

    Each is filed under the hash of its picture's bytes, of the encoder, and of how the picture was
    resized and cut: where one of them changes, nothing is found and the picture is encoded again.
    With `crop` random the whole resized picture is kept and windows are cut from its latents; at
    their edges these know a little of what lies outside. Pictures are encoded one by one, so that
    the result depends on nothing else in the set.
    """

    def __init__(
        self,
        album: Album,
        buckets: Buckets,
        autoencoder: Any,
        folder: str,
        crop: Crop = "centre",
        drop: float = 0.0,
        threads: int = 1,
    ) -> None:
        self.album, self.drop = album, drop
        config = autoencoder.config
        self._scale, self._channels = float(config.scaling_factor), int(config.latent_channels)
        self._cell = 2 ** (len(config.block_out_channels) - 1)
        self._windows = Windows(album, buckets, crop, self._cell)
        self.groups = self._windows.groups
        place = Path(folder) / f"{encoder_hash(autoencoder)}-{_hash_of(config)}"
        place.mkdir(parents=True, exist_ok=True)
        keys = self._keys()
        with FileLock(place / "lock"):
            self._store = Store(place, np.float16)
            self._fill(keys, autoencoder, threads)
        self._slots = self._store.find(keys)

    def __len__(self) -> int:
        return len(self.album)

    def provenance(self) -> dict[str, Any]:
        """Of the album."""
        return self.album.provenance()

    def gather(self, rows: NDArray[np.int64], chances: Chances, step: int) -> Batch:
        """`latents` float [n, c, h, w]; `captions` n strings; `time_ids` float [n, 6]."""
        frames = [self._windows.drawn(*pair) for pair in zip(rows, chances, strict=True)]
        drawn = []
        for row, frame, chance in zip(rows, frames, chances, strict=True):
            mean, std = self._posterior(row, frame.corner, frame.shape)
            drawn.append(mean + std * chance.standard_normal(mean.shape, np.float32))
        latents = torch.from_numpy(np.stack(drawn) * np.float32(self._scale))
        return {"latents": latents, **told(self.album, rows, frames, chances, self.drop)}

    def _posterior(
        self, row: int, corner: tuple[int, int], shape: tuple[int, int]
    ) -> NDArray[np.float32]:
        """Mean and standard deviation of a window: [2, c, h, w]."""
        kept = self._windows.kept(row)
        whole = self._store.read(int(self._slots[row])).reshape(
            2, self._channels, *(side // self._cell for side in kept.shape)
        )
        (top, left), (height, width) = (
            [
                (place - first) // self._cell
                for place, first in zip(corner, kept.corner, strict=True)
            ],
            [side // self._cell for side in shape],
        )
        return whole[:, :, top : top + height, left : left + width].astype(np.float32)

    def _keys(self) -> Keys:
        contents = self.album.contents()
        return np.array(
            [
                key_of(ENCODED, contents[row].tobytes(), str(self._windows.kept(row)))
                for row in range(len(self))
            ],
            "S16",
        )

    def _fill(self, keys: Keys, autoencoder: Any, threads: int) -> None:
        """Encode what is missing; packs that are written stay, however this ends."""
        missing = np.flatnonzero(self._store.find(keys) < 0)
        _, firsts = np.unique(keys[missing], return_index=True)
        rows = missing[np.sort(firsts)]
        pixels = ahead(self._pixels, rows.tolist(), threads)
        waiting: dict[bytes, NDArray[Any]] = {}
        for row, picture in track(pixels, "encoding pictures", len(rows), disable=not len(rows)):
            waiting[keys[row]] = encode(picture[None], autoencoder)[0]
            if sum(one.size for one in waiting.values()) >= PACK:
                self._store.add(list(waiting), list(waiting.values()))
                waiting = {}
        if waiting:
            self._store.add(list(waiting), list(waiting.values()))

    def _pixels(self, row: int) -> NDArray[np.uint8]:
        return self._windows.kept(row).cut(self.album.read(row))


def _hash_of(config: Any) -> str:
    """Of what the weights alone do not say."""
    said = {name: value for name, value in dict(config).items() if not name.startswith("_")}
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()[:8]
