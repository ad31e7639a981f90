"""`python -m training.posthoc run=out/runs/x sigma_rel=0.08`: choose the average after the run."""

import logging
from pathlib import Path

import hydra
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from safetensors import safe_open
from torch import Tensor

from luciole.diffusion.ema import trainable
from luciole.diffusion.ema_profiles import Profile, coefficients, mismatch
from training.profiles import AVERAGES, snapshots

CONF = Path(__file__).parents[1] / "conf"
log = logging.getLogger("training")


def averaged(folder: Path, sigma_rel: float, step: int | None) -> tuple[dict[str, Tensor], float]:
    """The wanted average at `step` (None: the last) from the snapshots, fp32, and its mismatch.

    Raises ValueError where the run was not that long.
    """
    held = snapshots(folder)
    last = max(profile.step for profile in held)
    wanted = Profile(sigma_rel, last if step is None else step)
    if wanted.step > last:
        raise ValueError(f"step: {step} is past the last snapshot, {last}")
    by = coefficients(list(held), wanted)
    total: dict[str, Tensor] = {}
    for coefficient, file in zip(by.tolist(), held.values(), strict=True):
        with safe_open(file, "pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118
                part = coefficient * tensors.get_tensor(name).float()
                total[name] = total[name] + part if name in total else part
    return total, mismatch(list(held), wanted, by)


def reconstruct(run: Path, sigma_rel: float, step: int | None, models: Path | None) -> Path:
    """Write the model of a run with another average of its weights; return the folder.

    Raises ValueError naming weights that the snapshots lack or that the task does not train.
    """
    config = OmegaConf.load(run / "config.yaml")
    weights, error = averaged(run / AVERAGES, sigma_rel, step)
    task = instantiate(config.task, _convert_="all")
    own = trainable(task)
    if wrong := own.keys() ^ weights.keys():
        raise ValueError(f"{run}: these weights do not fit the task: {sorted(wrong)[:5]}")
    with torch.no_grad():
        for name, weight in own.items():
            weight.copy_(weights[name])
    folder = models or run / f"posthoc-{sigma_rel}"
    task.write(folder)
    log.info("sigma_rel %s is in %s; its profile is off by %.2g", sigma_rel, folder, error)
    return folder


@hydra.main(version_base=None, config_path=str(CONF), config_name="posthoc")
def main(config: DictConfig) -> None:
    """The command line."""
    models = Path(config.models) if config.models else None
    reconstruct(Path(config.run), config.sigma_rel, config.step, models)


if __name__ == "__main__":
    main()
