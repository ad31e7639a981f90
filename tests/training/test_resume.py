"""A run that was killed and resumed is the run that was never killed, bit for bit."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig

from tests.training.launch import finish, kill_somewhere, lines
from tests.training.test_experiments import RUN, TINY, tiny
from training.__main__ import CONF
from training.run_log import RunLog

STEPS = 12
RECIPES = {
    "pocket_autoencoder": ["~callbacks.samples"],
    "pocket_clip": ["+data.workers=2"],
    "pocket_words": [],
    "pocket_judge": [],
    "pocket_base": ["~callbacks.samples", "model.denoiser.text_width=64"],
    "pocket_style_ink": ["~callbacks.samples"],
    "pocket_identity": ["~callbacks.samples"],  # its image encoder is what pocket_clip has left
    "pocket_estimator": [],
    "pocket_control_pose": ["~callbacks.samples"],  # read by that estimator
    "pocket_student_lora": ["~callbacks.samples"],
}
"""By experiment, with what else it is told here; some are run with two loader workers."""


def words(place: Path, name: str, *more: str) -> list[str]:
    """Twelve steps, validated every five, with a checkpoint every two."""
    return [
        f"run={place}/runs/{name}",
        f"models={place}/models/{name}",
        f"trainer.max_steps={STEPS}",
        "trainer.val_check_interval=5",
        "trainer.log_every_n_steps=1",
        "~callbacks.bar",
        "+trainer.enable_progress_bar=false",
        "callbacks.average.decay=0.9",
        "task.learning_rate.warmup=3",
        *more,
    ]


def configured(experiment: str, place: Path, name: str, *more: str) -> DictConfig:
    return tiny(experiment, place, *words(place, name, *more))


def different(one: Any, other: Any, path: str = "") -> list[str]:
    """Where two checkpoints differ, but for the times that things took."""
    if path.endswith(("Pace/seconds", "pytorch-lightning_version")):
        return []
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [found for key in one for found in different(one[key], other[key], f"{path}/{key}")]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [found for i, pair in pairs for found in different(*pair, f"{path}/{i}")]
    if isinstance(one, torch.Tensor):
        same = one.dtype == other.dtype and torch.equal(one, other)
    elif isinstance(one, np.ndarray):
        same = np.array_equal(one, other)
    else:
        same = bool(one == other)
    return [] if same else [path]


def logged(run: Path) -> list[dict[str, str]]:
    """The rows, without how fast they came."""
    rows = RunLog(str(run)).read()
    return [{k: v for k, v in row.items() if not k.startswith("train/samples_per")} for row in rows]


def assert_same(place: Path, one: str, other: str) -> None:
    first, second = (
        torch.load(place / "runs" / name / "last.ckpt", weights_only=False) for name in (one, other)
    )
    assert different(first, second) == []
    assert logged(place / "runs" / one) == logged(place / "runs" / other)
    assert [row["step"] for row in logged(place / "runs" / one)][-1] == str(STEPS - 1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("resume")
    shutil.copytree(tiny_folder, folder / "models" / "pocket")
    return folder


@pytest.mark.parametrize("experiment", RECIPES)
def test_killed_at_a_random_step_it_ends_as_if_it_had_not_been(
    experiment: str, place: Path, tiny_folder: Path
) -> None:
    names = [f"{experiment}-{kind}" for kind in ("straight", "killed")]
    straight, killed = (configured(experiment, place, name, *RECIPES[experiment]) for name in names)
    for name in names:
        shutil.copytree(tiny_folder, place / "models" / name)
    finish(straight)
    rows = kill_somewhere(killed, STEPS - 1)
    assert rows < lines(place / "runs" / names[0] / "metrics.csv")
    finish(killed)
    assert_same(place, *names)


def test_two_ranks_with_two_loader_workers_each_end_so_too(place: Path, tiny_folder: Path) -> None:
    names = ["ranks-straight", "ranks-killed"]
    more = [*RECIPES["pocket_base"], "trainer=ddp", "trainer.accelerator=cpu", "+data.workers=2"]
    straight, killed = (configured("pocket_base", place, name, *more) for name in names)
    for name in names:
        shutil.copytree(tiny_folder, place / "models" / name)
    finish(straight, ranks=2)
    kill_somewhere(killed, STEPS - 1, ranks=2)
    finish(killed, ranks=2)
    assert_same(place, *names)


def test_the_command_itself_can_be_killed(place: Path) -> None:
    """As above, but as it is typed, against a run that was started in another way."""
    finish(configured("pocket_judge", place, "command-straight"))
    told = [f"out={place}", *RUN, *TINY["pocket_judge"], *words(place, "command-killed")]
    command = [sys.executable, "-m", "training", "experiment=pocket_judge", *told]
    process = subprocess.Popen(command, cwd=CONF.parent)
    metrics = place / "runs" / "command-killed" / "metrics.csv"
    while not (metrics.with_name("last.ckpt").exists() and lines(metrics) >= 4):
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    subprocess.run(command, cwd=CONF.parent, check=True)
    assert_same(place, "command-straight", "command-killed")
