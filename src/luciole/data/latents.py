"""Pictures encoded once: a cache on disk that a changed picture or encoder misses."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from jaxtyping import Float, Float16
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from luciole.data.captioned import wording
from luciole.data.crops import as_tensor
from luciole.data.pictures import Pictures
from luciole.data.stream import Batch, Chances


class Latents:
    """Mean and standard deviation of each picture's posterior, memory-mapped, fp16.

    One process encodes what is missing, others wait for it.
    """

    def __init__(self, pictures: Pictures, autoencoder: Any, folder: str) -> None:
        self.pictures = pictures
        self.scaling_factor: float = autoencoder.config.scaling_factor
        place = Path(folder) / encoder_hash(autoencoder)
        place.mkdir(parents=True, exist_ok=True)
        files = [(shard, place / f"{content_hash(shard)}.npy") for shard in pictures.files]
        with FileLock(place / "lock"):
            missing = [pair for pair in files if not pair[1].exists()]
            for shard, target in track(missing, "encoding pictures", disable=not missing):
                _write(target, encode(np.load(shard, mmap_mode="r"), autoencoder))
        self._shards = [np.load(target, mmap_mode="r") for _, target in files]

    def __len__(self) -> int:
        return len(self.pictures)

    def draw(self, rows: NDArray[np.int64], chances: Chances) -> NDArray[np.float32]:
        """One draw of each posterior, scaled to unit variance: [n, channel, height, width]."""
        per = len(self._shards[0])
        chosen = np.stack([self._shards[row // per][row % per] for row in rows])
        mean, std = chosen.astype(np.float32).swapaxes(0, 1)
        noise = np.stack([one.standard_normal(mean.shape[1:], np.float32) for one in chances])
        drawn: NDArray[np.float32] = (mean + std * noise) * np.float32(self.scaling_factor)
        return drawn


class CaptionedLatents:
    """Latents with one of their wordings each; some wordings are left empty on purpose.

    What the denoiser says to the empty prompt is what guidance pushes away from. Where people are,
    errors count `1 + focus` times as much: limbs are small, and all that tells one action from
    another.
    """

    def __init__(self, latents: Latents, drop: float, focus: float = 0.0) -> None:
        self.latents, self.drop, self.focus = latents, drop, focus

    def __len__(self) -> int:
        return len(self.latents)

    def provenance(self) -> dict[str, Any]:
        """Of the pictures."""
        return self.latents.pictures.provenance()

    def gather(self, rows: NDArray[np.int64], chances: Chances, step: int) -> Batch:
        """`latents` float [n, c, h, w]; `captions` n strings; `time_ids` float [n, 6].

        With `focus` also `mask` float [n, 1, h, w], of mean 1 in each sample.
        """
        drawn = self.latents.draw(rows, chances)
        captions = [
            "" if one.random() < self.drop else wording(self.latents.pictures, row, one)
            for row, one in zip(rows, chances, strict=True)
        ]
        size = self.latents.pictures.size
        time_ids = torch.tensor([[size, size, 0, 0, size, size]]).float().repeat(len(rows), 1)
        batch = {"latents": torch.from_numpy(drawn), "captions": captions, "time_ids": time_ids}
        return {**batch, "mask": self._mask(rows)} if self.focus else batch

    def _mask(self, rows: NDArray[np.int64]) -> Float[Tensor, "n 1 h w"]:
        people = np.stack([self.latents.pictures.people(row) for row in rows])
        mask = torch.from_numpy(1 + self.focus * people)[:, None]
        return mask / mask.mean(dim=(2, 3), keepdim=True)


@torch.no_grad()
def encode(
    images: NDArray[np.uint8], autoencoder: Any, batch_size: int = 32
) -> Float16[np.ndarray, "n 2 c h w"]:
    """Posterior means and standard deviations, as the encoder gives them in bf16."""
    parts = []
    for first in range(0, len(images), batch_size):
        pictures = as_tensor(np.array(images[first : first + batch_size])).to(autoencoder.device)
        with torch.autocast(pictures.device.type, torch.bfloat16):
            posterior = autoencoder.encode(pictures).latent_dist
        parts.append(torch.stack([posterior.mean, posterior.std], dim=1).half().cpu().numpy())
    return np.concatenate(parts)


def encoder_hash(autoencoder: Any) -> str:
    """Of everything that a picture passes on its way to latents, not of the decoder."""
    digest = hashlib.sha256()
    for name, weight in autoencoder.state_dict().items():
        if not name.startswith(("decoder", "post_quant_conv")):
            digest.update(name.encode() + weight.float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def content_hash(file: Path) -> str:
    """Of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


def _write(target: Path, latents: Float16[np.ndarray, "n 2 c h w"]) -> None:
    part = target.with_suffix(".tmp.npy")
    np.save(part, latents)
    part.replace(target)
