"""Pictures as an autoencoder gives them back, kept on disk."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from jaxtyping import Float32, UInt8
from numpy.typing import NDArray
from rich.progress import track

from luciole.data.crops import as_tensor
from luciole.data.latents import content_hash
from luciole.data.pictures import Pictures


class ReconstructedPictures:
    """`pictures`, of which every `every`-th went through an autoencoder.

    What a model draws has lost what its autoencoder loses; whoever learns to read drawn pictures
    needs to have seen that. One process makes what is missing, others wait for it.
    """

    def __init__(self, pictures: Pictures, autoencoder: Any, folder: str, every: int = 1) -> None:
        self.pictures, self.every = pictures, every
        self.size, self.words = pictures.size, pictures.words
        place = Path(folder) / f"{weights_hash(autoencoder)}-{every}"
        place.mkdir(parents=True, exist_ok=True)
        files = [(shard, place / f"{content_hash(shard)}.npy") for shard in pictures.files]
        with FileLock(place / "lock"):
            missing = [pair for pair in files if not pair[1].exists()]
            for shard, target in track(missing, "reconstructing", disable=not missing):
                images = np.load(shard, mmap_mode="r")[::every]
                part = target.with_suffix(".tmp.npy")
                np.save(part, reconstruct(images, autoencoder))
                part.replace(target)
        self._made = [np.load(target, mmap_mode="r") for _, target in files]
        self._shard = len(np.load(pictures.files[0], mmap_mode="r"))

    def __len__(self) -> int:
        return len(self.pictures)

    def images(self, rows: Sequence[int] | NDArray[np.int64]) -> UInt8[np.ndarray, "n h w 3"]:
        """Copies of the chosen pictures."""
        images = self.pictures.images(rows)
        for i, row in enumerate(rows):
            if (row % self._shard) % self.every == 0:
                images[i] = self._made[row // self._shard][row % self._shard // self.every]
        return images

    def people(self, row: int) -> Float32[np.ndarray, "h/8 w/8"]:
        """The share of each cell of 8 x 8 pixels that people cover, 0 to 1."""
        return self.pictures.people(row)

    def provenance(self) -> dict[str, Any]:
        """Of the pictures, and how many went through the autoencoder."""
        return {**self.pictures.provenance(), "reconstructed": f"one in {self.every}"}


@torch.no_grad()
def reconstruct(
    images: UInt8[np.ndarray, "n h w 3"], autoencoder: Any, batch_size: int = 32
) -> UInt8[np.ndarray, "n h w 3"]:
    """What is left of pictures, in bf16."""
    parts = []
    for first in range(0, len(images), batch_size):
        pictures = as_tensor(np.array(images[first : first + batch_size])).to(autoencoder.device)
        with torch.autocast(pictures.device.type, torch.bfloat16):
            latents = autoencoder.encode(pictures).latent_dist.mean
            seen = autoencoder.decode(latents).sample
        bytes_ = (seen.float().clamp(-1, 1) + 1).mul(127.5).round().byte()
        parts.append(bytes_.permute(0, 2, 3, 1).cpu().numpy())
    return np.concatenate(parts)


def weights_hash(autoencoder: Any) -> str:
    """Of all that a picture passes."""
    digest = hashlib.sha256()
    for name, weight in autoencoder.state_dict().items():
        digest.update(name.encode() + weight.float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
