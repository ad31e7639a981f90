"""`make bench-train-style`: samples a CPU-second of LoRA training against a plain loop.

Three ways to train the same layers of the same base on one thread take turns, each in a process of
its own: the `style` recipe, whose latents and words come from caches on disk; diffusers' example as
a plain loop, which encodes pictures and words at every step; and that loop with everything encoded
before and held in memory. Start-up and warm-up do not count.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median as middle
from typing import NamedTuple

from evals.bench.result import Figure, median, write

TARGETS = r".*\.attn\d\.to_(q|k|v|out\.0)"
BASE = "src/luciole/shipped/pocket"
BATCH, WARMUP = 32, 3


class Measured(NamedTuple):
    """One process: CPU seconds a sample, and its peak memory in MiB."""

    seconds: float
    memory: float


def ours(out: Path, steps: int) -> Measured:
    """The recipe, as anybody starts it; its own log says what a step costs."""
    run = out / "run"
    words = [
        "experiment=pocket_style_ink",
        f"out={out}",
        f"run={run}",
        "resume=false",
        "threads=1",
        f"data.batch_size={BATCH}",
        "task.lora.rank=8",
        f"task.lora.targets.unet=['{TARGETS}']",
        "data.train.style.source.latents.pictures.count=64",
        "data.train.style.source.latents.pictures.shard=64",
        "data.held_out.source.latents.pictures.count=64",
        "task.prompts=[a girl]",
        "task.conditions._target_=luciole.data.texts.CachedConditions",
        f"task.conditions.folder={out}/texts",
        "+task.conditions.conditions._target_=luciole.models.folder.load_conditions",
        f"+task.conditions.conditions.folder={BASE}",
        f"trainer.max_steps={WARMUP + steps}",
        f"trainer.val_check_interval={WARMUP + steps + 1}",
        "trainer.log_every_n_steps=1",
        "callbacks.samples=null",
    ]
    memory = _ran([sys.executable, "-m", "training", *words])[1]
    with (run / "metrics.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row.get("train/samples_per_cpu_second")]
    costs = [1 / float(row["train/samples_per_cpu_second"]) for row in rows[WARMUP:]]
    return Measured(sum(costs) / len(costs), memory)


def plain(steps: int, *more: str) -> Measured:
    """The plain loop."""
    words = ["--folder", BASE, "--targets", TARGETS, "--batch", str(BATCH), "--steps", str(steps)]
    command = [sys.executable, "-m", "evals.bench.plain_lora", *words, "--warmup", str(WARMUP)]
    said, memory = _ran([*command, *more])
    return Measured(json.loads(said.splitlines()[-1])["seconds"], memory)


def _ran(command: list[str]) -> tuple[str, float]:
    """What a process printed, and its peak memory in MiB; raises where it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TRANSFORMERS_VERBOSITY": "error"}
    with tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen(command, stdout=told, env=environment)  # noqa: S603
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        told.seek(0)
        return told.read(), used.ru_maxrss / 1024


def measure(rounds: int, steps: int, out: Path) -> list[Figure]:
    """Ratios of the rounds; the order changes from round to round."""
    ways = {
        "ours": lambda: ours(out, steps),
        "plain": lambda: plain(steps),
        "cached": lambda: plain(steps, "--cached"),
    }
    taken: dict[str, list[Measured]] = {name: [] for name in ways}
    for index in range(rounds):
        names = list(ways)
        for name in names[index % 3 :] + names[: index % 3]:
            taken[name].append(ways[name]())
    figures = []
    for name, goal, peer in (
        ("plain", 1.6, "plain loop of diffusers' SDXL LoRA example"),
        ("cached", 1.15, "the same with cached latents and text"),
    ):
        pairs = zip(taken[name], taken["ours"], strict=True)
        ratio = median([other.seconds / mine.seconds for other, mine in pairs])
        figures.append(Figure("samples a CPU-second", *ratio, "x", goal, "higher", peer))
    for name in ways:
        peak = median([each.memory for each in taken[name]])
        figures.append(Figure(f"peak memory, {name}", *peak, "MiB", None, "lower", ""))
        speed = middle(1 / each.seconds for each in taken[name])
        figures.append(
            Figure(f"speed, {name}", speed, speed, speed, "samples/CPU-s", None, "higher", "")
        )
    return figures


def main() -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    args = parser.parse_args()
    figures = measure(args.rounds, args.steps, args.out)
    note = f"pocket at 128 px, batch {BATCH}, rank 8, attention layers, one thread"
    libraries = ("torch", "diffusers", "peft", "lightning")
    print(write("train_style", figures, libraries, note))  # noqa: T201


if __name__ == "__main__":
    main()
