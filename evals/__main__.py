"""`python -m evals`: how many of a prompt's words are in the picture?"""

import json
import logging
import time
from pathlib import Path

import hydra
import numpy as np
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from evals.adherence import Adherence, Images, adherence, real_pictures
from evals.card import CARD, card
from evals.judge import load_judge
from evals.prompts import HeldOutPrompt, held_out_prompts
from luciole.bundle import Bundle
from luciole.domain import RenderPlan
from luciole.engines.onnx import OnnxEngine
from luciole.pipeline import Pipeline

CONF = Path(__file__).parents[1] / "conf"
log = logging.getLogger("evals")


def drawn(pipeline: Pipeline, prompts: list[HeldOutPrompt], config: DictConfig) -> Images:
    """One picture a prompt at the model's own size."""
    size = pipeline.manifest.sizes.default
    plans = [
        RenderPlan(
            prompt=prompt.text,
            width=size,
            height=size,
            steps=config.steps,
            guidance_scale=config.guidance_scale,
            seed=config.seed + i,
            solver=config.solver,
        )
        for i, prompt in enumerate(prompts)
    ]
    batches = [plans[i : i + config.batch] for i in range(0, len(plans), config.batch)]
    pictures = []
    for batch in track(batches, description="drawing"):
        pictures += pipeline.render(batch)
    return np.stack(pictures)


def table(model: Adherence, ceiling: Adherence) -> Table:
    """What the terminal shows."""
    shown = Table("words", "found", "95 % interval", "on real renders")
    rows = [*model.kinds.items(), ("all", model.overall)]
    for kind, share in rows:
        low, high = share.interval
        real = ceiling.overall if kind == "all" else ceiling.kinds[kind]
        shown.add_row(kind, f"{share.value:.1%}", f"{low:.1%} to {high:.1%}", f"{real.value:.1%}")
    return shown


def sheet(pictures: Images, columns: int = 12, rows: int = 8) -> Image.Image:
    """The first pictures side by side."""
    size = pictures.shape[1]
    grid = Image.new("RGB", (columns * size, rows * size), (250, 250, 250))
    for k, picture in enumerate(pictures[: columns * rows]):
        grid.paste(Image.fromarray(picture), ((k % columns) * size, k // columns * size))
    return grid


def evaluate(config: DictConfig) -> dict[str, object]:
    """Draw, judge, write the report; returns what report.json holds."""
    start = time.perf_counter()
    bundle = Bundle.open(Path(config.bundle))
    judge = load_judge(Path(config.judge))
    prompts = held_out_prompts(config.prompts)
    engine = OnnxEngine(bundle, threads=config.threads)
    try:
        pictures = drawn(Pipeline(engine), prompts, config)
    finally:
        engine.close()
    model = adherence(prompts, pictures, judge)
    ceiling = adherence(prompts, real_pictures(prompts, pictures.shape[1]), judge)
    Console().print(table(model, ceiling))
    report = {
        "model": model.as_json(),
        "real_renders": ceiling.as_json(),
        "bundle": bundle.manifest.source,
        "settings": {
            key: config[key] for key in ("prompts", "steps", "guidance_scale", "solver", "seed")
        },
        "seconds": round(time.perf_counter() - start, 1),
        "pictures": [
            {"prompt": p.text, "promised": p.promised, "seen": seen}
            for p, seen in zip(prompts, model.seen, strict=True)
        ],
    }
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    sheet(pictures).save(out / "pictures.png")
    (out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    if config.card:
        folder = Path(config.card)
        (folder / CARD).write_text(card(folder, report))
    log.info("report.json and pictures.png are in %s", out)
    return report


@hydra.main(version_base=None, config_path=str(CONF), config_name="evals")
def main(config: DictConfig) -> None:
    """The command line."""
    OmegaConf.resolve(config)
    evaluate(config)


if __name__ == "__main__":
    main()
