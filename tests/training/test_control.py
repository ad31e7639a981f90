"""The control recipe: the same losses as a plain loop, and what it reads from its results."""

from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from diffusers import ControlNetModel, DDPMScheduler
from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from luciole.adapters.control import control_net
from luciole.data.controls import GuidedLatents, MappedPictures
from luciole.data.latents import Latents
from luciole.data.stream import Stream
from luciole.diffusion.draws import Draws
from luciole.diffusion.losses import DenoisingLoss
from luciole.diffusion.schedule import NoiseSchedule
from luciole.models.estimator import ConditionEstimator
from luciole.models.folder import (
    load_autoencoder,
    load_conditions,
    load_denoiser,
    load_pipeline,
    scheduler,
)
from training.control import ControlTask
from training.estimator import fidelity, places

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers:UserWarning",
    "ignore:Found .* in eval mode:UserWarning",
    "ignore:__array__ implementation:DeprecationWarning",
    "ignore:.*LeafSpec:FutureWarning",
)
EMBEDDING, SEED, STEPS = (4, 4, 8, 8), 11, 20


@pytest.fixture(scope="module")
def source(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> GuidedLatents:
    place = tmp_path_factory.mktemp("guided")
    pictures = MappedPictures.draw(8, str(place), size=64, workers=1, shard=8)
    latents = Latents(pictures, load_autoencoder(str(tiny_folder)), str(place / "latents"))
    return GuidedLatents(latents, drop=0.3, control="pose")


def task_on(folder: Path, estimator: ConditionEstimator | None = None) -> ControlTask:
    torch.manual_seed(0)
    return ControlTask(
        denoiser=load_denoiser(str(folder)),
        control=partial(control_net, embedding=EMBEDDING),
        estimator=estimator,
        measured=3,
        conditions=load_conditions(str(folder)),
        autoencoder=load_autoencoder(str(folder)),
        scheduler=scheduler("v_prediction", zero_snr=True),
        loss=DenoisingLoss(NoiseSchedule(1000, 0.00085, 0.012, True), "v_prediction", 5.0, 1.0),
        seed=SEED,
        sample_steps=1,
        optimizer=partial(AdamW, lr=1e-3),
        learning_rate=lambda optimizer: LambdaLR(optimizer, lambda _: 1.0),
    )


class Losses(pl.Callback):
    """Each step's."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: Any) -> None:
        self.seen.append(outputs["loss"].item())


def plain_losses(folder: Path, stream: Stream) -> list[float]:
    """ControlNet training by hand, over diffusers' classes: v of a schedule without a signal at
    its end, min-SNR from both sides."""
    pipe = load_pipeline(str(folder))
    for part in (pipe.unet, pipe.text_encoder, pipe.text_encoder_2):
        part.requires_grad_(False)
    torch.manual_seed(0)
    net: Any = ControlNetModel
    control = net.from_unet(pipe.unet, conditioning_embedding_out_channels=EMBEDDING).train()
    build: Any = DDPMScheduler
    noises = build(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
    )
    optimizer = AdamW(control.parameters(), lr=1e-3)
    losses = []
    for step in range(STEPS):
        batch = stream.batch(step)
        latents: Tensor = batch["latents"]
        draws = Draws(SEED, batch["places"])
        noise = draws.normal(*latents.shape[1:])
        timesteps: Any = (draws.uniform() * 1000).long()
        noisy = noises.add_noise(latents, noise, timesteps)
        with torch.no_grad():
            states, _, pooled, _ = pipe.encode_prompt(
                batch["captions"], device="cpu", do_classifier_free_guidance=False
            )
        told = {"text_embeds": pooled, "time_ids": batch["time_ids"]}
        down, mid = control(
            noisy, timesteps, states, batch["conditions"], added_cond_kwargs=told, return_dict=False
        )
        said = pipe.unet(
            noisy,
            timesteps,
            states,
            added_cond_kwargs=told,
            down_block_additional_residuals=down,
            mid_block_additional_residual=mid,
        ).sample
        kept = noises.alphas_cumprod[timesteps]
        snr = kept / (1 - kept)
        error = (said - noises.get_velocity(latents, noise, timesteps)).square()
        loss = (error.mean(dim=(1, 2, 3)) * snr.clamp(1, 5) / (snr + 1)).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(control.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_the_first_twenty_losses_are_those_of_a_plain_loop(
    tiny_folder: Path, source: GuidedLatents
) -> None:
    stream, losses = Stream(source, 4, seed=SEED), Losses()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=STEPS,
        gradient_clip_val=1.0,
        callbacks=[losses],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    loader = DataLoader(stream, batch_size=None)
    trainer.fit(task_on(tiny_folder), loader, val_dataloaders=loader)
    expected = plain_losses(tiny_folder, stream)
    assert losses.seen == pytest.approx(expected, abs=1e-5)
    assert expected[-1] != expected[0]


def test_validation_reads_the_condition_from_the_result(
    tiny_folder: Path, source: GuidedLatents, tmp_path: Path
) -> None:
    task = task_on(tiny_folder, ConditionEstimator([8, 8, 8]).eval())
    said: dict[str, Any] = {}
    task.log = lambda name, value, **_: said.update({name: value})  # type: ignore[method-assign]
    batch = Stream(source, 4, seed=SEED).batch(0)
    with torch.no_grad():
        task.validation_step(batch, 0)
    assert set(said) == {"val/loss", "val/pck", "val/depth", "val/pck_real", "val/depth_real"}
    assert task.samples(batch).shape == (12, 3, 64, 64)
    task.write(tmp_path)
    net: Any = ControlNetModel
    written = net.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(part, written[name]) for name, part in task.control.state_dict().items())


def test_only_the_control_net_learns(tiny_folder: Path) -> None:
    task = task_on(tiny_folder)
    learns = {name.split(".")[0] for name, p in task.named_parameters() if p.requires_grad}
    assert learns == {"control"}


def test_a_perfect_estimator_finds_every_joint_and_the_depth(source: GuidedLatents) -> None:
    batch = Stream(source, 8, 1).batch(0)

    class Perfect(ConditionEstimator):
        def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
            wanted = places(batch["keypoints"], 16, 16).reshape(8, 18, 16, 16)
            depth = torch.nn.functional.avg_pool2d(batch["depth"][:, None], 4)[:, 0]
            return wanted.clamp(min=1e-9).log(), depth

    found = fidelity(Perfect([8, 8, 8]), torch.zeros(8, 3, 64, 64), batch)
    assert found["pck"] > 0.97
    assert found["depth"] == pytest.approx(1, abs=1e-4)
    unseen = batch["keypoints"][:, :, :, 2] == 0
    assert not places(batch["keypoints"], 16, 16)[unseen.all(dim=1)].any()
