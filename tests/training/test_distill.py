"""Few-step students: what is distilled, and that others can draw with it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from numpy.typing import NDArray
from peft import LoraConfig

from luciole.diffusion.consistency import ConsistencyLoss
from luciole.diffusion.schedule import NoiseSchedule
from luciole.domain import SolverName
from luciole.models.folder import (
    consistency_scheduler,
    flow_scheduler,
    load_autoencoder,
    load_conditions,
    load_denoiser,
    pipeline,
)
from luciole.sampling import Trajectory, denoise, schedule_of, steps_of
from training.__main__ import CONF
from training.diffusion import TRAINING, VALIDATION, telling
from training.distill import DistillTask

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

BATCH = {
    "latents": torch.randn(3, 8, 16, 16, generator=torch.Generator().manual_seed(0)),
    "captions": ["a girl", "a red girl", ""],
    "time_ids": torch.tensor([[128.0, 128, 0, 0, 128, 128]]).repeat(3, 1),
    "places": torch.arange(3),
}


def student(folder: Path, lora: LoraConfig | None = None) -> DistillTask:
    name = str(folder)
    return DistillTask(
        denoiser=load_denoiser(name),
        teacher=load_denoiser(name),
        conditions=load_conditions(name),
        autoencoder=load_autoencoder(name),
        scheduler=consistency_scheduler("v_prediction", zero_snr=True, levels=50, scaling=10.0),
        loss=ConsistencyLoss(
            NoiseSchedule(1000, 0.00085, 0.012, zero_snr=True), "v_prediction", [2.0, 4.0]
        ),
        target_decay=0.95,
        walk=2,
        lora=lora,
        prompts=["a girl"],
        seed=1,
        sample_steps=4,
        sample_guidance=1.0,
        optimizer=torch.optim.AdamW,
        learning_rate=torch.optim.lr_scheduler.ConstantLR,
    )


def adapter() -> LoraConfig:
    return LoraConfig(r=2, lora_alpha=2, target_modules=["to_q", "conv1"])


def disturb(task: DistillTask) -> None:
    """As training would, so that student and teacher differ."""
    torch.manual_seed(0)
    for weight in task.denoiser.parameters():
        if weight.requires_grad:
            weight.data.add_(0.02 * torch.randn_like(weight))


def our_walk(parts: Any, solver: SolverName, count: int) -> NDArray[np.float32]:
    """By the loop of `luciole.sampling`, with the noise that the pipeline would draw."""
    draw = torch.Generator().manual_seed(5)

    def noise() -> NDArray[np.float32]:
        return np.asarray(torch.randn(1, 8, 16, 16, generator=draw)[0])

    steps = steps_of(solver, schedule_of(parts.scheduler.config), count)
    trajectory = Trajectory(noise(), steps, 1.0, noise)
    embeds, _, pooled, _ = parts.encode_prompt("a girl", do_classifier_free_guidance=False)
    say = telling(parts.unet, embeds, pooled, BATCH["time_ids"][:1])

    def predict(latents: Any, timesteps: Any, _: Any) -> NDArray[np.float32]:
        with torch.no_grad():
            return np.asarray(say(torch.from_numpy(latents), torch.from_numpy(timesteps)))

    denoise([trajectory], predict)
    return trajectory.latents


@pytest.mark.parametrize(
    ("solver", "count"), [(SolverName.LCM, 4), (SolverName.LCM, 8), (SolverName.DPMPP_2M, 5)]
)
def test_our_loop_draws_what_diffusers_pipeline_draws(
    tiny_folder: Path, solver: SolverName, count: int
) -> None:
    """A consistency student, and (by DPM-Solver) a flow model."""
    name = str(tiny_folder)
    scheduler = consistency_scheduler("v_prediction", zero_snr=True, levels=50, scaling=10.0)
    if solver is SolverName.DPMPP_2M:
        scheduler = flow_scheduler(2.0)
    parts = pipeline(load_autoencoder(name), load_conditions(name), load_denoiser(name), scheduler)
    parts.set_progress_bar_config(disable=True)
    theirs = parts(
        "a girl",
        width=128,
        height=128,
        num_inference_steps=count,
        guidance_scale=1.0,
        generator=torch.Generator().manual_seed(5),
        output_type="latent",
    ).images[0]
    np.testing.assert_allclose(our_walk(parts, solver, count), theirs.numpy(), atol=2e-4)


@pytest.mark.parametrize("with_adapter", [False, True])
def test_only_the_student_learns_and_its_slow_copy_follows(
    tiny_folder: Path, with_adapter: bool
) -> None:
    task = student(tiny_folder, adapter() if with_adapter else None)
    task.losses(BATCH, TRAINING).mean().backward()
    learning = {name for name, weight in task.named_parameters() if weight.requires_grad}
    assert {name for name, weight in task.named_parameters() if weight.grad is not None} == learning
    assert all(name.startswith("denoiser.") for name in learning)
    assert all("lora" in name for name in learning) == with_adapter
    before = [copy.clone() for copy in task.target.copies]
    disturb(task)
    task.target.update(task.denoiser)
    assert any(not torch.equal(*pair) for pair in zip(before, task.target.copies, strict=True))


def test_the_teacher_is_pushed_away_from_the_empty_prompt(tiny_folder: Path) -> None:
    task = student(tiny_folder)
    scales, timesteps = torch.tensor([1.0, 2.0, 5.0]), torch.tensor([19, 499, 999])
    words = task.words(BATCH)
    guided = task.guided(words, BATCH["time_ids"], scales)(BATCH["latents"], timesteps)
    said = telling(task.teacher, *words, BATCH["time_ids"])(BATCH["latents"], timesteps)
    empty = task.words({"captions": [""] * 3})
    unsaid = telling(task.teacher, *empty, BATCH["time_ids"])(BATCH["latents"], timesteps)
    expected = unsaid + scales.view(-1, 1, 1, 1) * (said - unsaid)
    torch.testing.assert_close(guided, expected, rtol=1e-4, atol=1e-4)


def test_validation_is_the_same_every_time_and_rises_when_the_student_is_disturbed(
    tiny_folder: Path,
) -> None:
    task = student(tiny_folder)
    first = task.losses(BATCH, VALIDATION)
    assert torch.equal(first, task.losses(BATCH, VALIDATION))
    disturb(task)
    assert task.losses(BATCH, VALIDATION).mean() > first.mean()


def test_the_adapter_opens_in_diffusers_and_draws_the_same(
    tiny_folder: Path, tmp_path: Path
) -> None:
    task = student(tiny_folder, adapter())
    disturb(task)
    for weight in task.denoiser.parameters():
        if weight.requires_grad:
            weight.data.copy_(weight.data.half())
    task.write(tmp_path)
    name = str(tiny_folder)
    parts = pipeline(
        load_autoencoder(name), load_conditions(name), load_denoiser(name), task.scheduler
    )
    parts.load_lora_weights(tmp_path)
    words, told = task.words(BATCH), BATCH["time_ids"]
    asked = BATCH["latents"], torch.tensor([19, 499, 999])
    with torch.no_grad():
        mine, theirs, base = (
            telling(model, *words, told)(*asked)
            for model in (task.denoiser, parts.unet, task.teacher)
        )
    torch.testing.assert_close(theirs, mine, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(mine, base, atol=1e-3)


def test_the_adapter_of_pocket_is_smaller_than_six_megabytes() -> None:
    with initialize_config_dir(str(CONF), version_base=None):
        config = compose("train", ["experiment=pocket_student_lora"])
        pocket = compose("train", ["experiment=pocket_base"]).model.denoiser
    with torch.device("meta"):
        model = instantiate(pocket, _convert_="all")
        model.add_adapter(instantiate(config.task.lora, _convert_="all"))
    learning = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert 2 * learning < 6_000_000
