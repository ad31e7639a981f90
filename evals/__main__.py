"""`python -m evals suite=pocket 'checkpoints=[base=..., candidate=...]'`: which one is better?

The exit status is the gate's: 0 passed (or no gate), 1 failed, 3 not enough samples; 2 says that
something could not be measured at all.
"""

import json
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from PIL import Image
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from evals.card import CARD, card
from evals.checkpoint import parse_all
from evals.cost import Cost
from evals.errors import EvaluationError
from evals.gate import Gate, Verdict
from evals.parity import Parity, as_json, tables
from evals.report.data import report
from evals.report.page import page
from evals.report.terminal import show
from evals.run import Outcome, Plan, evaluate
from evals.sample import Images, Settings
from luciole.domain import LucioleError

CONF = Path(__file__).parents[1] / "conf"
REFUSED = 2
log = logging.getLogger("evals")


def _how(config: DictConfig) -> tuple[Settings, int]:
    """Settings and the first seed; EvaluationError names a value that is missing or wrong."""
    names = ("steps", "guidance_scale", "guidance_eta", "solver", "size", "batch", "threads")
    try:
        seed = TypeAdapter(int).validate_python(config.seed, strict=True)
        settings = TypeAdapter(Settings).validate_python({name: config[name] for name in names})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "seed"
        raise EvaluationError(where, f"{first['msg']}; give it on the command line") from error
    except OmegaConfBaseException as error:
        raise EvaluationError(str(error.full_key), "is missing; give it a value") from error
    return settings, seed


def plan_of(config: DictConfig) -> Plan:
    """What a configuration asks for."""
    settings, seed = _how(config)
    return Plan(
        checkpoints=parse_all(list(config.checkpoints)),
        tasks=instantiate(config.tasks, _convert_="all") or {},
        settings=settings,
        seed=seed,
        cache=Path(config.cache),
        confidence=config.confidence,
        gate=None if config.gate is None else Gate.parse(_plain(config.gate)),
        cost=None if config.cost is None else Cost(config.cost),
    )


def run(config: DictConfig) -> int:
    """Measure, show, write; the exit status."""
    if config.parity is not None:
        return run_parity(config)
    start, plan = time.perf_counter(), plan_of(config)
    outcome = evaluate(plan)
    show(outcome, Console())
    told = report(plan, outcome) | {"seconds": round(time.perf_counter() - start, 1)}
    write(config, plan, outcome, told)
    return 0 if outcome.verdict is None else outcome.verdict.value


def run_parity(config: DictConfig) -> int:
    """Engines instead of checkpoints; 1 where they differ by more than they may."""
    asked: Parity = instantiate(config.parity)
    graphs, drawn = asked.measure(*_how(config))
    for table in tables(graphs, drawn, asked.triton is not None):
        Console().print(table)
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(as_json(graphs, drawn), indent=1) + "\n")
    log.info("report.json is in %s", out)
    return 0 if asked.kept(graphs, drawn) else Verdict.FAILED.value


def write(config: DictConfig, plan: Plan, outcome: Outcome, told: dict[str, Any]) -> None:
    """report.json, report.html and pictures.png; a card and a run of Weights & Biases if asked."""
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(told, indent=1) + "\n")
    (out / "report.html").write_text(page(plan, outcome, f"Evaluation: {config.name}"))
    first = next(iter(outcome.answers.values())).pictures[plan.checkpoints[0].name]
    sheet(first).save(out / "pictures.png")
    if config.card:
        folder = Path(config.card)
        (folder / CARD).write_text(card(folder, told))
    if config.wandb:
        from evals.report.wandb_run import log_run

        log_run(config.wandb, config.name, told, out)
    log.info("report.html, report.json and pictures.png are in %s", out)


def sheet(pictures: Images, columns: int = 12, rows: int = 8) -> Image.Image:
    """The first pictures side by side."""
    size = pictures.shape[1]
    rows = min(rows, -(-len(pictures) // columns))
    grid = Image.new("RGB", (columns * size, rows * size), (250, 250, 250))
    for k, picture in enumerate(pictures[: columns * rows]):
        grid.paste(Image.fromarray(picture), ((k % columns) * size, k // columns * size))
    return grid


def quoted(arguments: Sequence[str]) -> list[str]:
    """Hydra's grammar has no `=` inside lists and no `;`: checkpoints and a gate are quoted."""
    found = []
    for argument in arguments:
        name, _, value = argument.partition("=")
        if name == "checkpoints" and value[:1] == "[" and value[-1:] == "]" and "'" not in value:
            texts = [text.strip() for text in value[1:-1].split(",") if text.strip()]
            argument = f"checkpoints=[{','.join(repr(text) for text in texts)}]"
        elif name == "gate" and value not in ("", "null") and value[0] not in "['\"":
            argument = f"gate={value!r}"
        found.append(argument)
    return found


def _plain(value: Any) -> Any:
    return value if isinstance(value, str) else OmegaConf.to_container(value)


@hydra.main(version_base=None, config_path=str(CONF), config_name="evals")
def main(config: DictConfig) -> None:
    """The command line; what is refused is one line."""
    try:
        status = run(config)
    except (LucioleError, FileNotFoundError) as error:
        Console(stderr=True).print(f"[red]evaluation refused:[/] {error}", highlight=False)
        status = REFUSED
    if status:
        sys.exit(status)


if __name__ == "__main__":
    sys.argv[1:] = quoted(sys.argv[1:])
    main()
