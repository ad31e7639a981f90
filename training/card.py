"""What a run leaves beside its weights: a card, the configuration, how to use them."""

import logging
import shlex
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import yaml
from omegaconf import DictConfig, OmegaConf

from luciole.bundle import folder_hash
from training.average import WeightAverage
from training.best import Best
from training.pace import Pace
from training.run_log import RunLog
from training.sharding import gathered

log = logging.getLogger("training")


def leave(config: DictConfig, trainer: pl.Trainer, folder: Path) -> None:
    """Weights, card and configuration; says in one line where they are and how to use them.

    All processes call it, the first one writes.
    """
    task: Any = trainer.lightning_module
    base = _base_hash(config) if trainer.is_global_zero else None
    with _kept(config, trainer), gathered(task):
        if trainer.is_global_zero:
            task.write(folder)
            _beside(config, trainer, folder, base)


def _kept(config: DictConfig, trainer: pl.Trainer) -> AbstractContextManager[None]:
    """The weights that are to be written: the best ones, or the average of the last."""
    if config.write == "best":
        _one(trainer, Best).put_into(trainer.lightning_module)
        return nullcontext()
    average: WeightAverage = _one(trainer, WeightAverage)
    return average.applied()


def _beside(config: DictConfig, trainer: pl.Trainer, folder: Path, base: str | None) -> None:
    task: Any = trainer.lightning_module
    place = task.written(folder)
    place.mkdir(parents=True, exist_ok=True)
    facts = _facts(config, trainer, base)
    text = card(config.name, facts, task.usage(folder))
    for target in (place, Path(config.run)):
        (target / "README.md").write_text(text)
    OmegaConf.save(config, place / "training.yaml")
    log.info("weights of step %d are in %s", facts["steps"], place)
    log.info("to use them: %s", task.usage(folder))


def _facts(config: DictConfig, trainer: pl.Trainer, base: str | None) -> dict[str, Any]:
    task: Any = trainer.lightning_module
    pace, best = _one(trainer, Pace), _one(trainer, Best)
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    weights = list(task.parameters())
    facts: dict[str, Any] = {
        "what": (type(task).__doc__ or "").splitlines()[0],
        "parameters": sum(weight.numel() for weight in weights),
        "trained": sum(weight.numel() for weight in weights if weight.requires_grad),
        "steps": trainer.global_step if config.write == "last" else best.step,
        "samples": pace.samples,
        "hours": round(pace.hours, 3),
        "command": command(),
    }
    if base:
        facts["base"] = {"folder": str(config.model.path), "sha256": base}
    if best.value is not None:
        facts["best"] = best.why()
    facts["metrics"] = last_metrics(Path(config.run))
    facts["data"] = data.provenance()
    return facts


def card(name: str, facts: dict[str, Any], usage: str) -> str:
    """A model card in Markdown; its front matter is what model hubs read."""
    data = facts["data"]
    front = {"library_name": "diffusers", "tags": ["luciole"], **_licence(data)}
    rows = [f"| {key} | {facts[key]:,} |" for key in ("parameters", "trained", "steps", "samples")]
    metrics = [f"| {key} | {value:.6g} |" for key, value in facts["metrics"].items()]
    parts = [
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---",
        f"# {name}\n\n{facts['what']}",
        f"## Use\n\n{usage}",
        "## Training\n\n| | |\n|---|---|\n" + "\n".join([*rows, f"| hours | {facts['hours']} |"]),
        f"```\n{facts['command']}\n```\n\nThe whole configuration is in `training.yaml`.",
    ]
    if "base" in facts:
        base = facts["base"]
        parts.append(f"It goes on from `{base['folder']}`, SHA-256 `{base['sha256']}`.")
    if "best" in facts:
        parts.append(f"Best checkpoint: {facts['best']}.")
    if metrics:
        parts.append("## Measured last\n\n| metric | value |\n|---|---|\n" + "\n".join(metrics))
    parts.append(f"## Data\n\n```yaml\n{yaml.safe_dump(data, sort_keys=False)}```")
    return "\n\n".join(parts) + "\n"


def last_metrics(run: Path) -> dict[str, float]:
    """The last value of everything that a run logged under `train/` or `val/`."""
    found: dict[str, float] = {}
    for row in RunLog(str(run)).read():
        for name, value in row.items():
            if name.startswith(("train/", "val/")):
                found[name] = float(value)
    return dict(sorted(found.items()))


def command() -> str:
    """As it was typed, without this machine's paths to the interpreter."""
    return shlex.join(["python", "-m", "training", *sys.argv[1:]])


def _licence(data: dict[str, Any]) -> dict[str, str]:
    """Only where all pictures agree; hubs take one."""
    licences = {name for part in data.values() for name in part.get("licences", {})}
    return {"license": licences.pop()} if len(licences) == 1 else {}


def _base_hash(config: DictConfig) -> str | None:
    path = config.model.get("path")
    return folder_hash(Path(path)) if path else None


def _one(trainer: pl.Trainer, kind: type[Any]) -> Any:
    """The run's callback of that kind; raise LookupError where it has none."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, kind):
            return callback
    raise LookupError(f"callbacks: there is no {kind.__name__}")
