"""`make bench-engine`: mixed styles, one picture, a day's load, a thousand styles, Triton.

All on the exported pocket model, on one thread, in CPU seconds of this process; ways take turns in
every round. Before anything is timed, the answers are compared. The day's load is simulated: with
the measured price of a call by its rows, on one engine that does one call at a time. Triton is a
real server beside this process; its CPU time counts.
"""

import argparse
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.utils import logging
from numpy.typing import NDArray

from evals.bench.engine_load import full_step, goodput, paying_rows
from evals.bench.engine_peers import Peers, Weights, random_styles
from evals.bench.engine_plot import plot
from evals.bench.engine_triton import triton_figures
from evals.bench.result import Figure, median, write
from luciole.bundle import Bundle
from luciole.domain import RenderPlan, SolverName
from luciole.engines import Engine
from luciole.engines.bank import Factors
from luciole.engines.onnx import OnnxEngine
from luciole.engines.openvino import OpenVinoEngine
from luciole.pipeline import Pipeline
from luciole.shipped import shipped_model

Inputs = dict[str, NDArray[Any]]
Mixes = Sequence[Sequence[tuple[str, float]]]
ROWS = 8
DAYS = 60
"""Of simulated load; each has its own arrivals."""
STYLES = ("a", "b", "c", "d", "e", "f")
SINGLE: Mixes = [[(STYLES[i % 6], 1.0)] for i in range(ROWS)]
MIXED: Mixes = [
    [("a", 1.0)],
    [("b", 0.7), ("c", 0.5)],
    [("d", 1.2)],
    [("e", 0.4), ("f", 0.4), ("a", 0.4)],
    [("c", 1.0)],
    [("f", 0.9), ("b", -0.3)],
    [("a", 0.6), ("d", 0.6), ("e", 0.2)],
    [("e", 1.0)],
]


def rows(bundle: Bundle, count: int) -> Inputs:
    """One step of so many requests, each at its own timestep."""
    chance, manifest = np.random.default_rng(0), bundle.manifest
    side = manifest.sizes.default // manifest.latent_stride
    axes = {"batch": count, "height": side, "width": side, "tokens": manifest.prompt.window}
    inputs: Inputs = {}
    for tensor in manifest.graphs["denoiser"].inputs:
        shape = [axes[axis] if isinstance(axis, str) else axis for axis in tensor.shape]
        inputs[tensor.name] = chance.standard_normal(shape).astype(tensor.dtype)
    inputs["timestep"] = np.linspace(40, 960, count, dtype=np.float32)
    inputs["time_ids"] = np.full((count, 6), manifest.sizes.default, np.float32)
    inputs["style_slot"] = np.zeros_like(inputs["style_slot"])
    inputs["style_weight"] = np.zeros_like(inputs["style_weight"])
    return inputs


def load(engine: OnnxEngine, styles: Mapping[str, Weights]) -> None:
    """Put styles into the engine's bank."""
    assert engine.bank is not None  # noqa: S101 - pocket takes styles
    for name, layers in styles.items():
        folded = {path: Factors(down, up) for path, (down, up) in layers.items()}
        engine.bank.load(name, folded)


def mixed(engine: OnnxEngine, inputs: Inputs, mixes: Mixes) -> NDArray[np.float32]:
    """One call for all rows, each with its own mix: slots are asked for every time."""
    assert engine.bank is not None  # noqa: S101 - pocket takes styles
    slots, weights = [], []
    for mix in mixes:
        with engine.bank.hold(mix) as held:
            slots.append(held.slots)
            weights.append(held.weights)
    told: Inputs = {"style_slot": np.stack(slots), "style_weight": np.stack(weights)}
    answer: NDArray[np.float32] = engine.run("denoiser", {**inputs, **told})["prediction"]
    return answer


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def taken(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each way in each round; who begins changes."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for index in range(rounds):
        turn = index % len(names)
        for name in names[turn:] + names[:turn]:
            found[name].append(seconds(ways[name]))
    return found


def ratios(found: Mapping[str, list[float]], over: str, under: str) -> tuple[float, float, float]:
    """The median of the rounds' ratios with its interval."""
    return median([a / b for a, b in zip(found[over], found[under], strict=True)])


def error(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """The largest difference over the largest value."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def styles_mixed(engine: OnnxEngine, peers: Peers, rounds: int) -> list[Figure]:
    """Eight requests with eight mixes, then with one style each, against diffusers and peft."""
    inputs = rows(engine.bundle, ROWS)
    off = max(
        error(mixed(engine, inputs, MIXED), peers.one_by_one(inputs, MIXED)),
        error(mixed(engine, inputs, SINGLE), peers.together(inputs, SINGLE)),
    )
    if off > 1e-5:
        raise SystemExit(f"the answers differ by {off:.1e}: nothing is timed")
    found = taken(
        {
            "ours": lambda: mixed(engine, inputs, MIXED),
            "one by one": lambda: peers.one_by_one(inputs, MIXED),
            "ours, one style each": lambda: mixed(engine, inputs, SINGLE),
            "together": lambda: peers.together(inputs, SINGLE),
        },
        rounds,
    )
    one = ratios(found, "one by one", "ours")
    hand = ratios(found, "together", "ours, one style each")
    peer = "diffusers set_adapters, one request after the other"
    return [
        Figure("largest error of a mix", off, off, off, "of the largest", 1e-5, "lower", peer),
        Figure("8 requests, 8 mixes of 1 to 3 styles", *one, "x", 1.5, "higher", peer),
        Figure("8 requests, a style each", *hand, "x", 1.2, "higher", "peft, mixed by hand"),
    ]


def one_picture(
    engine: OnnxEngine, others: Mapping[str, Engine], peers: Peers, rounds: int, steps: int
) -> list[Figure]:
    """From words to pixels, against diffusers' pipeline with the same solver.

    The `others` are the same model in bf16 and in int8: their pictures are others, as good as
    evals measure them.
    """
    plan = RenderPlan(
        prompt="a girl with red hair in the rain",
        width=128,
        height=128,
        steps=steps,
        guidance_scale=3.5,
        seed=1,
        solver=SolverName.DPMPP_2M,
    )
    noise = np.random.default_rng(1).standard_normal((8, 16, 16), dtype=np.float32)
    times = itertools.count()

    def ours(pipeline: Pipeline) -> NDArray[Any]:
        # No words that were encoded before.
        fresh = plan.model_copy(update={"prompt": f"{plan.prompt} {next(times)}"})
        return pipeline.decode(pipeline.denoise([fresh], latents=[noise]))[0]

    full = Pipeline(engine)
    same = full.decode(full.denoise([plan], latents=[noise]))[0]
    off = np.abs(same.astype(int) - peers.picture(plan, noise).astype(int)).max()
    if off > 1:
        raise SystemExit(f"the pictures differ by {off} levels: nothing is timed")
    ways: dict[str, Callable[[], object]] = {
        "ours": partial(ours, full),
        "theirs": lambda: peers.picture(plan, noise),
        **{f"ours in {name}": partial(ours, Pipeline(one)) for name, one in others.items()},
        "theirs in bf16": lambda: peers.picture_in_bf16(plan, noise),
    }
    for way in ways.values():
        way()
    found = taken(ways, rounds)
    name, peer = f"one picture of {steps} steps in", "StableDiffusionXLPipeline, same weights, in"
    pairs = (
        (f"{name} bf16", "ours in bf16", "theirs in bf16", 0.5, f"{peer} bf16"),
        (f"{name} fp32", "ours", "theirs", None, f"{peer} fp32"),
        (f"{name} bf16", "ours in bf16", "theirs", None, f"{peer} fp32: not the same work"),
        (f"{name} int8", "ours in int8", "theirs", None, f"{peer} fp32: not the same work"),
        (f"{name} fp32", "ours", "theirs in bf16", None, f"{peer} bf16: not the same work"),
        (f"{name} int8", "ours in int8", "theirs in bf16", None, f"{peer} bf16"),
    )
    return [
        Figure(metric, *ratios(found, mine, other), "of its time", goal, "lower", said)
        for metric, mine, other, goal, said in pairs
    ]


def many_styles(bundle: Bundle, styles: Mapping[str, Weights], rounds: int) -> list[Figure]:
    """The same step with one style known and with a thousand, all of them in the bank."""
    few, many = (OnnxEngine(bundle, threads=1, style_slots=n) for n in (2, 1001))
    layers = styles["a"]
    load(few, {"a": layers})
    load(many, {**{f"s{i}": layers for i in range(999)}, "a": layers})
    inputs, crowd = rows(bundle, 1), rows(bundle, ROWS)
    strangers: Mixes = [[(f"s{111 * i}", 1.0)] for i in range(ROWS)]
    ways: dict[str, Callable[[], object]] = {
        "few": lambda: [mixed(few, inputs, [[("a", 1.0)]]) for _ in range(4)],
        "many": lambda: [mixed(many, inputs, [[("a", 1.0)]]) for _ in range(4)],
        "one tenant": lambda: mixed(many, crowd, [[("a", 1.0)]] * ROWS),
        "eight tenants": lambda: mixed(many, crowd, strangers),
        "none": lambda: mixed(many, crowd, [[]] * ROWS),
    }
    for way in ways.values():
        way()
    found = taken(ways, 2 * rounds)
    for engine in (few, many):
        engine.close()
    known = ratios(found, "many", "few")
    tenants = ratios(found, "eight tenants", "one tenant")
    price = ratios(found, "eight tenants", "none")
    return [
        Figure("a step beside 1,000 styles", *known, "x", 1.02, "lower", "beside one style"),
        Figure("8 rows of 8 tenants", *tenants, "x", 1.02, "lower", "8 rows of one tenant"),
        Figure("8 rows with a style each", *price, "x", None, "lower", "8 rows without any"),
    ]


def prices(engine: OnnxEngine, mix: Sequence[tuple[str, float]], rounds: int) -> dict[int, float]:
    """CPU seconds of a call by its rows, each of which has this mix."""
    ways = {}
    for count in (1, 2, 4, 8, 16):
        inputs = rows(engine.bundle, count)
        ways[str(count)] = partial(mixed, engine, inputs, [mix] * count)
    for way in ways.values():
        way()
    return {int(name): float(np.median(each)) for name, each in taken(ways, rounds).items()}


def load_figures(engine: OnnxEngine, rounds: int) -> list[Figure]:
    """Requests that arrive by chance, batched in three ways."""
    cost, plain = prices(engine, [("a", 1.0)], rounds), prices(engine, [], rounds)
    days = [goodput(cost, plain, seed) for seed in range(DAYS)]
    figures = []
    for policy, goal in (("by style", 2.0), ("by style, first come", None), ("static", 1.3)):
        ratio = median([day["ours"].rate / day[policy].rate for day in days])
        name = f"goodput against batches {policy} (simulated)"
        promise = "95 % within 3 times the solo time"
        figures.append(Figure(name, *ratio, "x", goal, "higher", promise))
    wait = median([day["ours"].wait / full_step(cost) for day in days])
    unit = f"steps of {paying_rows(cost)} rows"
    name = "wait for the first step, p99 (simulated)"
    return [*figures, Figure(name, *wait, unit, 1.1, "lower", "")]


def main() -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, default=Path("out/bundle"))
    parser.add_argument("--int8", type=Path, default=Path("out/bundle_int8"))
    parser.add_argument("--model", type=Path, default=shipped_model(), help="what it was made of")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--plot", type=Path, help="an SVG file for the docs")
    args = parser.parse_args()
    quiet: Any = logging  # diffusers warns of every adapter that it has not loaded yet
    quiet.set_verbosity_error()
    one_thread: Any = torch.set_num_threads
    one_thread(1)
    bundle = Bundle.open(args.bundle)
    styles = random_styles(bundle, STYLES)
    engine = OnnxEngine(bundle, threads=1)
    load(engine, styles)
    others = {
        "bf16": OpenVinoEngine(bundle, threads=1),
        "int8": OnnxEngine(Bundle.open(args.int8), threads=1),
    }
    peers = Peers(args.model, styles)
    figures = [
        *styles_mixed(engine, peers, args.rounds),
        *one_picture(engine, others, peers, 2 * args.rounds, args.steps),
        *many_styles(bundle, styles, args.rounds),
        *load_figures(engine, args.rounds),
        *triton_figures(engine, 2 * args.rounds),
    ]
    note = "pocket at 128 px, fp32, styles of rank 8 on all attention layers, one thread, CPU time"
    libraries = ("onnxruntime", "openvino", "torch", "diffusers", "peft", "numpy", "tritonclient")
    print(write("engine", figures, libraries, note))  # noqa: T201
    if args.plot is not None:
        args.plot.write_text(plot(figures))


if __name__ == "__main__":
    main()
