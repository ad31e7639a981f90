"""What a run leaves: the best weights and why, the card, the configuration, the log."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
import yaml
from lightning.pytorch.loggers import WandbLogger
from omegaconf import OmegaConf

from luciole.models.classifier import AttributeClassifier
from tests.training.test_experiments import pytestmark as pytestmark
from tests.training.test_experiments import tiny
from training import wandb_logger
from training.average import WeightAverage
from training.best import Best
from training.run import train
from training.run_log import RunLog


class Recorded(WandbLogger):
    """Remembers what Weights & Biases would be sent."""

    def __init__(self, **_: Any) -> None:
        super().__init__(mode="disabled")
        self.keys: set[str] = set()
        self.pictures: list[str] = []
        self.configuration: dict[str, Any] = {}

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        self.keys |= set(metrics)

    def log_image(self, key: str, images: list[Any], **_: Any) -> None:
        self.pictures.append(key)

    def log_hyperparams(self, params: Any) -> None:
        self.configuration = params


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run's folder after six steps and three validations."""
    out = tmp_path_factory.mktemp("judge")
    words = ["trainer.max_steps=6", "trainer.log_every_n_steps=1", "write=best"]
    train(tiny("pocket_judge", out, *words))
    return out / "runs" / "pocket_judge"


def test_best_says_which_and_why(judge: Path) -> None:
    best = json.loads((judge / "best.json").read_text())
    rows = [row for row in RunLog(str(judge)).read() if "val/accuracy" in row]
    values = [float(row["val/accuracy"]) for row in rows]
    assert best["value"] == max(values)
    assert best["step"] == 2 * (values.index(max(values)) + 1)
    assert best["validations"] == 3
    assert best["why"].endswith(f"highest of 3 validations; the last had {values[-1]:.6g}")


def test_the_weights_of_the_best_validation_are_written(judge: Path) -> None:
    kept = torch.load(judge / "best.ckpt")["weights"]
    written = AttributeClassifier.load(judge.parents[1] / "models" / "judge").state_dict()
    assert all(torch.equal(kept[f"classifier.{name}"], written[name]) for name in written)


def test_the_card_says_what_was_learned_from_what(judge: Path) -> None:
    text = (judge.parents[1] / "models" / "judge" / "README.md").read_text()
    front = yaml.safe_load(text.split("---")[1])
    assert front["license"] == "Apache-2.0"
    for told in ("| steps | ", "| samples | 24 |", "| val/accuracy |", "python -m evals judge="):
        assert told in text
    data = yaml.safe_load(text.split("```yaml")[1].split("```")[0])
    assert data["train"]["opted_out"] == 0
    written = OmegaConf.load(judge.parents[1] / "models" / "judge" / "training.yaml")
    assert written == OmegaConf.load(judge / "config.yaml")


def test_every_row_of_the_log_has_rate_norm_and_throughput(judge: Path) -> None:
    rows = [row for row in RunLog(str(judge)).read() if "train/loss" in row]
    assert [int(row["step"]) for row in rows] == list(range(6))
    for row in rows:
        assert float(row["train/samples_per_second"]) > 0
        assert {"train/grad_norm", "train/learning_rate"} <= set(row)


def test_weights_and_biases_gets_figures_grids_and_the_configuration(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Recorded] = []

    def recorded(**choices: Any) -> Recorded:
        made.append(Recorded())
        return made[-1]

    monkeypatch.setattr(wandb_logger, "WandbLogger", recorded)
    words = ["logger=wandb", "trainer.log_every_n_steps=1"]
    train(tiny("pocket_autoencoder", tmp_path, *words))
    assert {
        "train/loss",
        "train/psnr",
        "train/grad_norm",
        "train/learning_rate",
        "train/samples_per_second",
        "val/psnr",
    } <= made[0].keys
    assert made[0].pictures == ["samples"]
    assert made[0].configuration["trainer"]["max_steps"] == 2


def test_a_metric_that_is_not_measured_is_told(tmp_path: Path) -> None:
    best = Best(str(tmp_path), "val/los")
    trainer: Any = SimpleNamespace(sanity_checking=False, callback_metrics={"val/loss": 1.0})
    with pytest.raises(KeyError, match="val/los is not measured; there is val/loss"):
        best.on_validation_end(trainer, pl.LightningModule())


def test_the_lowest_is_kept_with_the_averaged_weights(tmp_path: Path) -> None:
    task = pl.LightningModule()
    task.layer = torch.nn.Linear(1, 1)
    average, best = WeightAverage(0.5), Best(str(tmp_path), "val/loss")
    trainer: Any = SimpleNamespace(
        sanity_checking=False, is_global_zero=True, callbacks=[average], global_step=1
    )
    average.on_fit_start(trainer, task)
    for step, value in enumerate((3.0, 1.0, 2.0), start=1):
        trainer.global_step, trainer.callback_metrics = step, {"val/loss": value}
        best.on_validation_end(trainer, task)
    assert (best.step, best.value) == (2, 1.0)
    assert best.why() == ("val/loss 1 at step 2, lowest of 3 validations; the last had 2")


def test_a_resumed_log_drops_the_rows_of_steps_that_come_again(tmp_path: Path) -> None:
    log = RunLog(str(tmp_path))
    log.begin(0)
    for step in range(4):
        log.log_metrics({"train/loss": step}, step)
    again = RunLog(str(tmp_path))
    again.begin(2)
    again.log_metrics({"val/loss": 9.0}, 2)
    assert [row["step"] for row in again.read()] == ["0", "1", "2"]
    assert again.read()[2] == {"step": "2", "val/loss": "9.0"}
    with pytest.raises(ValueError, match="has 3 rows, the checkpoint speaks of 5"):
        RunLog(str(tmp_path)).begin(5)
