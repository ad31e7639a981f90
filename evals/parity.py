"""`python -m evals suite=parity`: do torch, ONNX in process and Triton draw the same?

Graph by graph with random inputs: torch against ONNX is what the export measured and the bundle
says in parity.json, ONNX against Triton is measured here. Then picture by picture, from the words.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from evals.checkpoint import Checkpoint
from evals.errors import EvaluationError
from evals.painters.choice import painter_of
from evals.painters.painter import Painter
from evals.prompts import held_out_prompts
from evals.sample import Images, Sample, Settings
from luciole.bundle import Bundle, TensorSpec, folder_hash
from luciole.engines import Engine
from luciole.engines.onnx import OnnxEngine

REPORT = "parity.json"
SIZES = ({"batch": 1}, {"batch": 3})


@dataclass(frozen=True)
class GraphDifference:
    """The largest difference of an output over its largest value."""

    engines: str
    graph: str
    output: str
    batch: int
    relative_error: float


@dataclass(frozen=True)
class PictureDifference:
    """Between two engines' pictures of one prompt; `psnr` in dB, 100 where they are equal."""

    engines: str
    prompt: str
    seed: int
    largest: int
    mean: float
    psnr: float


def exported(bundle: Bundle) -> list[GraphDifference]:
    """Torch against ONNX, as the export has measured; EvaluationError where it left no report."""
    file = bundle.path / REPORT
    if not file.is_file():
        raise EvaluationError(str(file), "is missing; export the model again")
    return [
        GraphDifference(
            "torch, onnx",
            one["graph"],
            one["output"],
            one["sizes"].get("batch", 1),
            one["relative_error"],
        )
        for one in json.loads(file.read_text())["agreements"]
    ]


def between(bundle: Bundle, first: Engine, second: Engine, names: str) -> list[GraphDifference]:
    """Both engines on the same random inputs, every graph that takes nothing from a bank."""
    found = []
    for graph, spec in bundle.manifest.graphs.items():
        for seed, sizes in enumerate(SIZES):
            inputs = {
                tensor.name: random_input(tensor, bundle, sizes, seed) for tensor in spec.inputs
            }
            ours, theirs = first.run(graph, inputs), second.run(graph, inputs)
            found += [
                GraphDifference(
                    names,
                    graph,
                    tensor.name,
                    sizes["batch"],
                    relative_error(theirs[tensor.name], ours[tensor.name]),
                )
                for tensor in spec.outputs
            ]
    return found


def random_input(
    tensor: TensorSpec, bundle: Bundle, sizes: Mapping[str, int], seed: int
) -> NDArray[Any]:
    """As the graph may be given in earnest: low token ids, places of an empty bank, timesteps."""
    shape = [_length(axis, bundle, sizes) for axis in tensor.shape]
    chance = np.random.default_rng(seed)
    if tensor.name.endswith("_slot"):
        return np.zeros(shape, tensor.dtype)
    if tensor.dtype == "int64":
        return chance.integers(0, 200, shape)
    noise = chance.standard_normal(shape)
    limit = {"timestep": 999.0, "time_ids": 512.0}.get(tensor.name)
    return (noise if limit is None else np.clip(np.abs(noise) * limit, 0, limit)).astype(
        tensor.dtype
    )


def _length(axis: int | str, bundle: Bundle, sizes: Mapping[str, int]) -> int:
    """Of the model's own size; `height/2` is half of `height`, what has no size of its own is 2."""
    if isinstance(axis, int):
        return axis
    manifest = bundle.manifest
    side = manifest.sizes.default // manifest.latent_stride
    usual = {"tokens": manifest.prompt.window, "height": side, "width": side, **sizes}
    usual |= dict.fromkeys(("picture_height", "picture_width"), manifest.sizes.default)
    name, _, part = axis.partition("/")
    return usual.get(name, 2) // int(part or 1)


def relative_error(found: NDArray[Any], reference: NDArray[Any]) -> float:
    """Infinite where shapes differ or a value is not finite."""
    if found.shape != reference.shape or not np.isfinite(found).all():
        return float("inf")
    scale = float(np.abs(reference).max())
    return float(np.abs(found - reference).max() / scale) if scale else float(np.abs(found).max())


def pictures(painters: Sequence[Painter], prompts: int, seed: int) -> list[PictureDifference]:
    """Every engine against the first."""
    samples = [Sample(p.text, seed + i) for i, p in enumerate(held_out_prompts(prompts))]
    drawn = [np.stack(painter.draw(samples)) for painter in painters]
    return [
        compared(f"{painters[0].engine}, {painter.engine}", sample, a, b)
        for painter, other in zip(painters[1:], drawn[1:], strict=True)
        for sample, a, b in zip(samples, drawn[0], other, strict=True)
    ]


def compared(engines: str, sample: Sample, a: Images, b: Images) -> PictureDifference:
    """Of two pictures in 8 bits."""
    apart = np.abs(a.astype(np.int64) - b)
    squared = float((apart**2).mean())
    psnr = 100.0 if squared == 0 else float(min(100.0, 10 * np.log10(255**2 / squared)))
    return PictureDifference(
        engines, sample.prompt, sample.seed, int(apart.max()), float(apart.mean()), psnr
    )


@dataclass(frozen=True)
class Parity:
    """A bundle, the folder that it was exported from, and Triton's address if there is one.

    More than `tolerance` of a graph's largest value, or `levels` of 255 on a picture's mean, is too
    much.
    """

    bundle: str
    folder: str
    triton: str | None
    prompts: int
    tolerance: float = 1e-3
    levels: float = 0.5

    def measure(
        self, settings: Settings, seed: int
    ) -> tuple[list[GraphDifference], list[PictureDifference]]:
        """EvaluationError where the folder is not the bundle's own."""
        bundle = Bundle.open(self.bundle)
        if folder_hash(Path(self.folder)) != bundle.manifest.source:
            words = f"{self.folder} is not what the bundle was exported from; export it again"
            raise EvaluationError("parity.folder", words)
        graphs = exported(bundle)
        checkpoints = [Checkpoint("torch", self.folder), Checkpoint("onnx", self.bundle)]
        if self.triton:
            checkpoints.append(Checkpoint("triton", self.bundle, triton=self.triton))
            graphs += self._over_triton(bundle, settings)
        painters = [painter_of(one, settings) for one in checkpoints]
        try:
            return graphs, pictures(painters, self.prompts, seed)
        finally:
            for painter in painters:
                painter.close()

    def kept(self, graphs: Sequence[GraphDifference], drawn: Sequence[PictureDifference]) -> bool:
        """Whether every difference is small enough."""
        close = all(one.relative_error <= self.tolerance for one in graphs)
        return close and all(one.mean <= self.levels for one in drawn)

    def _over_triton(self, bundle: Bundle, settings: Settings) -> list[GraphDifference]:
        from luciole.engines.triton import TritonEngine

        here = OnnxEngine(bundle, threads=settings.threads)
        there = TritonEngine(bundle, str(self.triton))
        try:
            return between(bundle, here, there, "onnx, triton")
        finally:
            here.close()
            there.close()


def tables(
    graphs: Sequence[GraphDifference], drawn: Sequence[PictureDifference], triton: bool
) -> list[Table]:
    """For the terminal."""
    title = "largest relative difference" + (
        "" if triton else " (no Triton: give triton=host:port)"
    )
    first = Table("engines", "graph", "output", "batch", "difference", title=title)
    for one in graphs:
        error = f"{one.relative_error:.1e}"
        first.add_row(one.engines, one.graph, one.output, f"{one.batch}", error)
    second = Table("engines", "seed", "prompt", "largest", "mean", "PSNR", title="levels of 255")
    for each in drawn:
        numbers = f"{each.largest}", f"{each.mean:.4f}", f"{each.psnr:.1f} dB"
        second.add_row(each.engines, f"{each.seed}", each.prompt[:48], *numbers)
    return [first, second]


def as_json(
    graphs: Sequence[GraphDifference], drawn: Sequence[PictureDifference]
) -> dict[str, Any]:
    """For report.json."""
    return {"graphs": [asdict(one) for one in graphs], "pictures": [asdict(one) for one in drawn]}
