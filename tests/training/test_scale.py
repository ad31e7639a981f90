"""Several devices, other optimizers, compiled parts."""

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from safetensors.torch import load_file
from torch import nn
from torch.optim import AdamW

from tests.training.launch import finish
from tests.training.test_experiments import pytestmark as pytestmark
from tests.training.test_experiments import tiny
from training.__main__ import CONF, FINISHED, train
from training.classifier import ClassifierTask
from training.optimizer import adamw_8bit
from training.run import compile_parts, resolved
from training.run_log import RunLog
from training.task import Diverged


def test_processes_that_copy_or_share_weights_learn_as_one_with_twice_the_batch(
    tmp_path: Path, tiny_folder: Path
) -> None:
    shared = [
        "task.learning_rate.steps=5",
        "trainer.log_every_n_steps=1",
        "~callbacks.samples",
        "~callbacks.bar",
        "+trainer.enable_progress_bar=false",
        "model.denoiser.text_width=64",
        "task.learning_rate.warmup=1",
    ]
    two = ["data.batch_size=2", "trainer.accelerator=cpu"]
    curves, written = [], []
    for name, ranks, ends, more in (
        ("one", 1, [5], ["data.batch_size=4"]),
        ("ddp", 2, [5], ["trainer=ddp", *two]),
        ("fsdp", 2, [3, 5], ["trainer=fsdp", *two]),
    ):
        shutil.copytree(tiny_folder, tmp_path / name)
        words = [f"run={tmp_path}/runs/{name}", f"models={tmp_path}/{name}", *more]
        for end in ends:
            finish(
                tiny("pocket_base", tmp_path, *shared, *words, f"trainer.max_steps={end}"), ranks
            )
        rows = [row for row in RunLog(f"{tmp_path}/runs/{name}").read() if "train/loss" in row]
        curves.append([float(row["train/loss"]) for row in rows])
        written.append(load_file(tmp_path / name / "unet/diffusion_pytorch_model.safetensors"))
    assert len(curves[0]) == 5
    for curve, weights in zip(curves[1:], written[1:], strict=True):
        assert curve == pytest.approx(curves[0], abs=1e-5)
        torch.testing.assert_close(weights, written[0], rtol=0, atol=1e-5)


def test_the_optimizer_is_a_choice(tmp_path: Path) -> None:
    eight = resolved(tiny("pocket_judge", tmp_path, "optimizer=adamw_8bit")).task.optimizer
    assert eight._target_ == "training.optimizer.adamw_8bit"
    assert eight.lr == tiny("pocket_judge", tmp_path).task.optimizer.lr


@pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
def test_moments_of_a_byte_learn_as_those_of_four_bytes_do() -> None:
    layers = [nn.Linear(256, 64), nn.Linear(256, 64)]
    layers[1].load_state_dict(layers[0].state_dict())
    x, y = torch.randn(64, 256), torch.randn(64, 64)
    small = adamw_8bit(layers[0].parameters(), lr=1e-3)
    for layer, optimizer in zip(layers, (small, AdamW(layers[1].parameters(), 1e-3)), strict=True):
        for _ in range(20):
            optimizer.zero_grad()
            torch.autograd.backward(torch.nn.functional.mse_loss(layer(x), y))
            optimizer.step()
    assert {small.state[layers[0].weight][name].dtype for name in ("state1", "state2")} == {
        torch.uint8
    }
    ends = [float(torch.nn.functional.mse_loss(layer(x), y).detach()) for layer in layers]
    assert ends[0] == pytest.approx(ends[1], rel=0.02)
    assert ends[1] < 0.7


@pytest.mark.skipif(find_spec("bitsandbytes") is not None, reason="bitsandbytes is there")
def test_a_missing_library_is_named_with_its_extra() -> None:
    with pytest.raises(ImportError, match=r"pip install -e '.\[bitsandbytes\]'"):
        adamw_8bit([nn.Parameter(torch.zeros(1))], lr=1.0)


def test_only_parts_that_train_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda part: compiled.append(part))
    task = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1).requires_grad_(False))
    compile_parts(task)
    assert compiled == [task[0]]


@pytest.mark.skipif(
    find_spec("hydra_plugins") is None, reason="hydra-submitit-launcher is not there"
)
def test_runs_go_to_a_cluster_by_hydras_launcher() -> None:
    words = ["experiment=pocket_base", "hydra/launcher=submitit_slurm"]
    with initialize_config_dir(str(CONF), version_base=None):
        config = compose("train", words, return_hydra_config=True)
    assert config.hydra.launcher._target_.endswith("SlurmLauncher")


def test_a_gradient_that_is_no_number_ends_the_run_before_it_reaches_a_weight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, seen = ClassifierTask.training_step, []

    def broken(task: ClassifierTask, batch: Any, batch_idx: int) -> torch.Tensor:
        seen.append(task)
        return step(task, batch, batch_idx) * (float("nan") if batch_idx == 1 else 1)

    monkeypatch.setattr(ClassifierTask, "training_step", broken)
    with pytest.raises(
        Diverged, match=r"step 1: the gradient's norm is nan; .*task\.optimizer\.lr"
    ):
        train(tiny("pocket_judge", tmp_path))
    assert all(weight.isfinite().all() for weight in seen[-1].parameters())
    assert not (tmp_path / "runs" / "pocket_judge" / FINISHED).exists()
