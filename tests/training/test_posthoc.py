"""Averages kept while training, and others made of them after it."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader

from luciole.diffusion.ema_profiles import exponent
from training.posthoc import averaged, reconstruct
from training.profiles import AVERAGES, WeightProfiles

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers:UserWarning",
    "ignore:.*exists and is not empty:UserWarning",
    "ignore:.*LeafSpec:FutureWarning",
    "ignore:You're resuming from a checkpoint that ended before:UserWarning",
)
STEPS, EVERY = 60, 5


class Toy(pl.LightningModule):
    """A linear layer in a random walk; what it was after each step is in `seen`."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.frozen = nn.Linear(3, 2), nn.Linear(2, 2).requires_grad_(False)
        self.seen: list[Tensor] = []

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        push = torch.randn(2, 3, generator=torch.Generator().manual_seed(int(batch)))
        return (self.layer.weight * push).sum() + self.layer.bias.sum()

    def optimizer_step(self, *step: Any, **more: Any) -> None:
        super().optimizer_step(*step, **more)
        self.seen.append(self.layer.weight.detach().clone())

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.layer.parameters(), lr=0.1)

    def write(self, folder: Path) -> None:
        folder.mkdir()
        torch.save(self.state_dict(), folder / "toy.pt")


def trained(run: Path, steps: int = STEPS, resumed: Path | None = None) -> Toy:
    toy = Toy()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=steps,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[WeightProfiles(str(run / AVERAGES), EVERY)],
    )
    start = len(torch.load(resumed, weights_only=False)["seen"]) if resumed else 0
    batches: Any = list(range(start, 2 * STEPS))
    trainer.fit(toy, DataLoader(batches, batch_size=None), ckpt_path=resumed, weights_only=False)
    trainer.save_checkpoint(run / "last.ckpt")
    OmegaConf.save({"task": {"_target_": f"{__name__}.Toy"}}, run / "config.yaml")
    return toy


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Toy]:
    place = tmp_path_factory.mktemp("run")
    return place, trained(place)


@pytest.mark.parametrize(("sigma_rel", "step"), [(0.05, None), (0.08, None), (0.1, 40)])
def test_an_average_made_after_the_run_is_the_one_made_by_brute_force(
    run: tuple[Path, Toy], sigma_rel: float, step: int | None
) -> None:
    place, toy = run
    made, off = averaged(place / AVERAGES, sigma_rel, step)
    last = step or STEPS
    ends = (np.arange(last + 1) / last) ** (exponent(sigma_rel) + 1)
    by = torch.from_numpy(np.diff(ends)).float()
    exact = torch.einsum("t,tij->ij", by, torch.stack(toy.seen[:last]))
    assert off < 0.02
    walk = torch.stack(toy.seen).std(0).max().item()
    torch.testing.assert_close(made["layer.weight"], exact, rtol=0, atol=0.02 * walk)


def test_the_command_writes_the_model_with_that_average(run: tuple[Path, Toy]) -> None:
    place, _ = run
    folder = reconstruct(place, 0.08, None, None)
    written = torch.load(folder / "toy.pt")
    made, _ = averaged(place / AVERAGES, 0.08, None)
    assert torch.equal(written["layer.weight"], made["layer.weight"])
    assert torch.equal(written["frozen.weight"], Toy().frozen.weight)
    assert set(made) == {"layer.weight", "layer.bias"}


def test_what_is_not_there_is_said_by_name(run: tuple[Path, Toy], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"callbacks\.profiles"):
        averaged(tmp_path, 0.08, None)
    with pytest.raises(ValueError, match="step: 61"):
        averaged(run[0] / AVERAGES, 0.08, 61)


def test_a_resumed_run_leaves_the_same_averages_bit_for_bit(
    run: tuple[Path, Toy], tmp_path: Path
) -> None:
    first = trained(tmp_path, 12)
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=False)
    torch.save({**checkpoint, "seen": first.seen}, tmp_path / "last.ckpt")
    trained(tmp_path, STEPS, tmp_path / "last.ckpt")
    files = sorted((run[0] / AVERAGES).glob("*.safetensors"))
    assert len(files) == 2 * STEPS // EVERY
    for file in files:
        again = load_file(tmp_path / AVERAGES / file.name)
        assert all(torch.equal(weight, again[name]) for name, weight in load_file(file).items())
