"""The identity recipe: what learns, what it is told, and what it writes."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from luciole.adapters.identity import IdentityAdapter
from luciole.data.latents import Latents
from luciole.data.pairs import PairedLatents, Pairs
from luciole.data.stream import Batch, Stream
from luciole.diffusion.losses import DenoisingLoss
from luciole.diffusion.schedule import NoiseSchedule
from luciole.models.classifier import AttributeClassifier
from luciole.models.folder import load_autoencoder, load_conditions, load_denoiser, scheduler
from luciole.models.vision import image_encoder
from luciole.storyworld import ATTRIBUTES
from training.identity import WEIGHTS, IdentityTask

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
KINDS: dict[str, Any] = {
    "base": IdentityAdapter.base,
    "plus": partial(IdentityAdapter.plus, tokens=3, width=64),
}


@pytest.fixture(scope="module")
def batch(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Batch:
    place = tmp_path_factory.mktemp("pairs")
    pairs = Pairs.draw(4, str(place), size=64, workers=1, shard=4)
    latents = Latents(pairs, load_autoencoder(str(tiny_folder)), str(place / "latents"))
    return Stream(PairedLatents(latents, 0.2, 0.2, 0.2), 4, seed=3).batch(0)


def task_on(folder: Path, kind: str, judge: AttributeClassifier | None = None) -> IdentityTask:
    torch.manual_seed(0)
    task = IdentityTask(
        denoiser=load_denoiser(str(folder)),
        image_encoder=image_encoder(64, 16, 24, 2, 2, 32, "gelu", 20),
        adapter=KINDS[kind],
        judge=judge,
        judged=2,
        conditions=load_conditions(str(folder)),
        autoencoder=load_autoencoder(str(folder)),
        scheduler=scheduler("v_prediction", zero_snr=True),
        loss=DenoisingLoss(NoiseSchedule(1000, 0.00085, 0.012, True), "v_prediction", 5.0, 1.0),
        prompts=["a girl", "a boy"],
        seed=5,
        sample_steps=1,
        optimizer=partial(AdamW, lr=1e-2),
        learning_rate=lambda optimizer: LambdaLR(optimizer, lambda _: 1.0),
    )
    task.log = lambda *_, **__: None  # type: ignore[method-assign]
    return task


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_adapter_learns_and_the_loss_falls(
    kind: str, tiny_folder: Path, batch: Batch
) -> None:
    task = task_on(tiny_folder, kind)
    learns = {id(weight) for weight in task.parameters() if weight.requires_grad}
    assert learns == {id(weight) for weight in task.adapter.parameters()}
    configured: Any = task.configure_optimizers()
    optimizer = configured["optimizer"]
    losses = []
    for _ in range(6):
        loss = task.training_step(batch, 0)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("kind", KINDS)
def test_diffusers_opens_what_it_writes(kind: str, tiny_folder: Path, tmp_path: Path) -> None:
    task = task_on(tiny_folder, kind)
    task.write(tmp_path)
    build: Any = StableDiffusionXLPipeline
    pipe = build.from_pretrained(tiny_folder)
    pipe.load_ip_adapter(str(tmp_path), subfolder="", weight_name=WEIGHTS)
    theirs = pipe.unet.encoder_hid_proj.image_projection_layers[0].state_dict()
    ours = task.adapter.image_projection.state_dict()
    assert all(torch.equal(weight, theirs[name]) for name, weight in ours.items())
    assert WEIGHTS in task.usage(tmp_path)


def test_validation_reads_the_looks_again_and_a_grid_shows_references(
    tiny_folder: Path, batch: Batch
) -> None:
    judge = AttributeClassifier(ATTRIBUTES, [8, 8])
    judge.read = lambda pictures: batch["labels"][: len(pictures)]  # type: ignore[method-assign]
    task = task_on(tiny_folder, "base", judge)
    said: dict[str, Any] = {}
    task.log = lambda name, value, **_: said.update({name: value})  # type: ignore[method-assign]
    with torch.no_grad():
        task.validation_step(batch, 0)
        assert said["val/looks"] == 1
        assert said["val/loss"] == task.losses(batch, 1).mean()
        pictures = task.samples(batch)
    assert pictures.shape == (6, 3, 64, 64)
    torch.testing.assert_close(pictures[:2], batch["references"][:2])
