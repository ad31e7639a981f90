"""`make bench-engine-gpu`: SDXL's shape on a GPU: random weights, bf16, ten minutes at most.

It needs torch, diffusers (with numpy), jaxtyping, PyYAML and this repository, with `src` on
PYTHONPATH. All ways run the same bare loop, so that peers pay for no pipeline: diffusers' denoiser
eager and compiled, and ours, compiled with a bank of styles and asked for other styles in every
row. Answers are compared first. `--tiny` tries the script itself, on any machine and in a small
shape; what it prints says nothing of speed.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from evals.bench.engine_gpu_model import Asked, Plain, Styled, build, config, largest_error
from evals.bench.result import Figure, median, write

MINUTES = 9.0
"""Nothing is begun after them that could take longer than `RESERVE`."""
RESERVE = 150.0
GIB = 2**30
STYLES = 8
LONG, SHORT = 30, 20
"""Steps of a picture alone, and of eight at once."""
Way = Callable[[Asked], torch.Tensor]


@dataclass
class Bench:
    """What is measured with, and what has been found."""

    device: str
    rounds: int
    side: int
    """Of the model's own size, in latents."""
    warm: int = 2
    """Rounds that do not count."""
    began: float = field(default_factory=time.monotonic)
    figures: list[Figure] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def add(
        self,
        metric: str,
        values: Sequence[float],
        unit: str,
        goal: float | None = None,
        better: Any = "lower",
        peer: str = "",
    ) -> None:
        """The median of the rounds."""
        self.figures.append(Figure(metric, *median(values), unit, goal, better, peer))

    def within_time(self, what: str) -> bool:
        """Whether there is time for another part; it is named where there is none."""
        spent = time.monotonic() - self.began
        if spent + RESERVE <= 60 * MINUTES:
            return True
        self.left_out.append(what)
        return False

    def seconds(self, *ways: Callable[[], object]) -> list[list[float]]:
        """Of each way in each round; ways take turns."""
        found: list[list[float]] = [[] for _ in ways]
        for turn in range(-self.warm, self.rounds):
            for place, way in enumerate(ways):
                self.wait()
                began = time.perf_counter()
                way()
                self.wait()
                if turn >= 0:
                    found[place].append(time.perf_counter() - began)
        return found

    def wait(self) -> None:
        """Until the GPU is idle."""
        if self.device == "cuda":
            torch.cuda.synchronize()


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Round by round."""
    return [a / b for a, b in zip(over, under, strict=True)]


def picture(step: Way, decode: Callable[[torch.Tensor], object], asked: Asked, steps: int) -> None:
    """So many guided steps and the autoencoder; the first half of the rows is the prompt's."""
    count = len(asked.latents) // 2
    latents = asked.latents[:count]
    for number in range(steps):
        timestep = torch.full_like(asked.timestep, 999.0 * (1 - number / steps))
        told = asked.at(torch.cat([latents, latents]), timestep)
        prompt, negative = step(told).chunk(2)
        latents = latents - (negative + 5.0 * (prompt - negative)) / steps
    decode(latents)


def matmul_rate(bench: Bench, size: int) -> float:
    """FLOP a second of a square product in bf16: what the chip gives, not what it promises."""
    a, b = (torch.randn(size, size, device=bench.device, dtype=torch.bfloat16) for _ in range(2))
    (took,) = bench.seconds(lambda: [a @ b for _ in range(10)])
    return 10 * 2 * size**3 / median(took)[0]


def flops(way: Way, asked: Asked) -> int:
    """Of one call, counted in eager torch."""
    counter: Any = FlopCounterMode(display=False)
    with counter:
        way(asked)
    return int(counter.get_total_flops())


def one_request(
    bench: Bench, eager: Way, compiled: Way, ours: Way, decode: tuple[Any, Any], rate: float
) -> None:
    """A guided step and 30 of them; ours has a style."""
    asked = Asked.of(bench.side, 2, bench.device, styled=True)
    steps = bench.seconds(lambda: eager(asked), lambda: compiled(asked), lambda: ours(asked))
    for name, took in zip(("eager", "compiled", "ours"), steps, strict=True):
        bench.add(f"guided step, {name}", [1000 * one for one in took], "ms")
    work = flops(eager, asked)
    bench.add(
        "share of the measured matmul rate, guided step, ours",
        [work / one / rate for one in steps[2]],
        "of 1",
        better="higher",
        peer=f"{rate / 1e12:.0f} TFLOP/s in bf16",
    )
    plain_decode, compiled_decode = decode
    whole = bench.seconds(
        lambda: picture(eager, plain_decode, asked, LONG),
        lambda: picture(compiled, compiled_decode, asked, LONG),
        lambda: picture(ours, compiled_decode, asked, LONG),
    )
    bench.add(f"{LONG} steps and decoding, ours", whole[2], "s", 1.15)
    against_eager, against_compiled = (ratios(whole[n], whole[2]) for n in (0, 1))
    name = f"{LONG} steps and decoding, ours faster"
    bench.add(name, against_eager, "x", 1.9, "higher", "diffusers, eager")
    bench.add(name, against_compiled, "x", None, "higher", "diffusers, compiled")


def eight_styles(bench: Bench, compiled: Way, ours: Way, decode: Callable[..., object]) -> None:
    """Eight requests with a style each, against the same without a bank."""
    asked = Asked.of(bench.side, 2 * STYLES, bench.device, styled=True)
    mixed, none = bench.seconds(lambda: ours(asked), lambda: compiled(asked))
    bench.add("8 styles at batch 8", ratios(mixed, none), "x", 1.06, "lower", "none, compiled")
    (took,) = bench.seconds(lambda: picture(ours, decode, asked, SHORT))
    rate = [STYLES / one for one in took]
    bench.add(f"{SHORT} steps at batch 8, ours", rate, "pictures/s", 1.5, "higher")


def sweep(bench: Bench, ours: Way, side: int, pixels: int) -> None:
    """A guided step of 1, 2, 4 and 8 requests, each with a style of its own."""
    for requests in (1, 2, 4, 8):
        asked = Asked.of(side, 2 * requests, bench.device, styled=True)
        (took,) = bench.seconds(partial(ours, asked))
        each = [1000 * one / requests for one in took]
        bench.add(f"guided step at {pixels}, {requests} at once, ours", each, "ms a request")


def peak(bench: Bench, what: str) -> None:
    """Of the memory since the last time."""
    if bench.device == "cuda":
        most = torch.cuda.max_memory_allocated() / GIB
        bench.add(f"peak memory, {what}", [most], "GiB")
        torch.cuda.reset_peak_memory_stats()


@torch.inference_mode()
def measure(bench: Bench, tiny: bool) -> None:
    """All parts, as long as there is time."""
    backend = "eager" if tiny else "inductor"
    unet, vae = build(config(tiny), bench.device)
    eager, styled = Plain(unet), Styled(unet, STYLES, bench.device)
    check: Any = Asked.of(bench.side // 2, 4, bench.device, styled=True)
    off = largest_error(eager, styled, check)
    if off > 0.05:
        raise SystemExit(f"the answers differ by {off:.1e} of the largest: nothing is timed")
    bench.add("largest error of 4 styles in bf16", [off], "of the largest", 0.05, peer="hooks")
    # One compilation for all batches and sizes: each takes minutes.
    compile_: Any = partial(torch.compile, backend=backend, dynamic=True)
    compiled, ours = compile_(eager), compile_(styled)
    decoders = vae.decode, compile_(vae.decode)
    rate = matmul_rate(bench, 128 if tiny else 8192)
    one_request(bench, eager, compiled, ours, decoders, rate)
    peak(bench, "1 request")
    if bench.within_time("8 styles at batch 8"):
        eight_styles(bench, compiled, ours, decoders[0])
        peak(bench, "8 requests")
    for side, pixels in ((bench.side, 1024), (bench.side // 2, 512)):
        if bench.within_time(f"batches at {pixels}"):
            sweep(bench, ours, side, pixels)


def main() -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="try the script, and write nothing")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not args.tiny:
        raise SystemExit("torch sees no GPU; --tiny tries the script")
    bench = Bench(device, args.rounds, 8 if args.tiny else 128)
    measure(bench, args.tiny)
    if args.tiny:
        names = "\n".join(f"{figure.metric}: {figure.unit}" for figure in bench.figures)
        print(f"{names}\nnothing was measured: --tiny")  # noqa: T201
        return
    note = f"SDXL's denoiser and autoencoder, random weights, bf16, {torch.cuda.get_device_name()}"
    left = f"; no time for {', '.join(bench.left_out)}" if bench.left_out else ""
    print(write("engine_gpu", bench.figures, ("torch", "diffusers"), note + left))  # noqa: T201


if __name__ == "__main__":
    main()
