"""Pictures to latents and back."""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from luciole.data.stream import Batch
from luciole.diffusion.draws import Draws
from luciole.models.autoencoder import ReconstructionLoss, psnr
from training.task import Task


class AutoencoderTask(Task):
    """Learns to compress pictures; says in the end how wide the latents came out."""

    def __init__(
        self, autoencoder: Any, loss: ReconstructionLoss, seed: int, **training: Any
    ) -> None:
        super().__init__(**training)
        self.autoencoder, self.loss, self.seed = autoencoder, loss, seed
        self.register_buffer("moments", torch.zeros(3, dtype=torch.float64))
        self.moments: Tensor

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Reconstruct from a draw of the posterior that the seed and its place alone decide."""
        pictures = batch["pictures"]
        posterior = self.autoencoder.encode(pictures).latent_dist
        draws = Draws(self.seed, batch["places"][: len(pictures)], pictures.device)
        drawn = posterior.mean + posterior.std * draws.normal(*posterior.mean.shape[1:])
        result = self.autoencoder.decode(drawn).sample.float()
        loss: Tensor = self.loss(result, pictures, posterior.kl())
        self.log_dict({"train/loss": loss, "train/psnr": psnr(result, pictures)}, prog_bar=True)
        return loss

    def on_validation_start(self) -> None:
        """Forget the widths of older weights."""
        self.moments.zero_()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Reconstruct held-out pictures from the mean; gather the latents' moments."""
        mean = self.autoencoder.encode(batch["pictures"]).latent_dist.mean
        result = self.autoencoder.decode(mean).sample
        self.log("val/psnr", psnr(result, batch["pictures"]), prog_bar=True, batch_size=1)
        wide = mean.double()
        self.moments += torch.stack([wide.new_tensor(wide.numel()), wide.sum(), (wide**2).sum()])

    def on_validation_epoch_end(self) -> None:
        """The standard deviation of all latents together, as SDXL's scaling factor takes it."""
        self.log("val/latent_std", self.latent_std(), prog_bar=True)

    def latent_std(self) -> float:
        """Of the last validation; 1 before there was any."""
        count, total, squares = self.moments.tolist()
        return ((squares - total**2 / count) / count) ** 0.5 if count else 1.0

    @torch.no_grad()
    def samples(self, batch: Batch) -> Float[Tensor, "n 3 h w"]:
        """Held-out pictures, then the same reconstructed."""
        pictures: Tensor = batch["pictures"]
        latents = self.autoencoder.encode(pictures).latent_dist.mean
        return torch.cat([pictures, self.autoencoder.decode(latents).sample.float()])

    def write(self, folder: Path) -> None:
        """`vae/`, with the scaling factor that brings the latents to unit variance."""
        self.autoencoder.register_to_config(scaling_factor=1 / self.latent_std())
        self.autoencoder.save_pretrained(folder / "vae")

    def written(self, folder: Path) -> Path:
        """Beside the parts of other runs."""
        return folder / "vae"

    def usage(self, folder: Path) -> str:
        """It is one part of a model."""
        return f"python -m training experiment=pocket_clip models={folder}"
