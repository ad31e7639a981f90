"""The demo's own style, learned by `python -m training` as a program of its own."""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from luciole.domain import EngineError
from serving.exported import ROOT, quoted

MANNER, NAME, TRIGGER = "watercolour", "demo_watercolour", "watercolour style"
EXPERIMENT = "pocket_style_watercolour"


@dataclass(frozen=True)
class Lesson:
    """How long the style is learned, on how many pictures."""

    steps: int = 200
    pictures: int = 256


QUICK = Lesson(steps=2, pictures=16)
"""Enough to see that everything fits together, not to see a style."""


@dataclass(frozen=True)
class Learned:
    """A style as it came out; `seconds` for everything, from the drawing of its pictures on."""

    file: Path
    lesson: Lesson
    seconds: float


def learn(lesson: Lesson, folder: Path, styles: Path) -> Learned:
    """Train in `folder`, whose pictures are kept for the next time, and put the file into `styles`.

    Training brings torch, which a service must not load: so it is another process, and it shows its
    own bars. EngineError if it fails.
    """
    began = time.perf_counter()
    command = [sys.executable, "-m", "training", *_choices(lesson, folder.resolve())]
    quiet = {"TRANSFORMERS_VERBOSITY": "error", "PYTHONWARNINGS": "ignore"}
    # Threads that wait without spinning: on a busy machine they would wait for each other.
    quiet |= {"OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(command, cwd=ROOT, env=os.environ | quiet, check=False)  # noqa: S603 - our own words
    if done.returncode != 0:
        raise EngineError("style", f"`python -m training` ended with status {done.returncode}")
    styles.mkdir(parents=True, exist_ok=True)
    for ending in (".safetensors", ".png"):
        shutil.copyfile(folder / "style" / f"{NAME}{ending}", styles / f"{NAME}{ending}")
    file = styles / f"{NAME}.safetensors"
    return Learned(file, lesson, time.perf_counter() - began)


def _choices(lesson: Lesson, folder: Path) -> list[str]:
    """Overrides of the experiment: fewer pictures, fewer steps, nothing that only developers read.

    A batch may not be larger than the set of pictures.
    """
    count, held_out = lesson.pictures, 16
    style = "data.train.style.source.latents.pictures"
    return [
        f"experiment={EXPERIMENT}",
        "name=demo",
        f"out={quoted(folder)}",
        f"models={quoted(folder / 'style')}",
        "resume=false",
        "~callbacks.samples",
        f"task.card.name={NAME}",
        f"task.card.trigger={TRIGGER}",
        "task.prompts=[anime girl walking in rain]",
        "task.optimizer.lr=2.0e-3",
        f"trainer.max_steps={lesson.steps}",
        f"trainer.val_check_interval={lesson.steps}",
        "data.batch_size=16",
        "data.held_out_batches=1",
        f"{style}.count={count}",
        f"{style}.shard={count}",
        f"data.held_out.source.latents.pictures.count={held_out}",
        f"data.held_out.source.latents.pictures.shard={held_out}",
    ]
