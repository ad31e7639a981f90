"""Puts a bundle together: graphs, tokenizers, manifest, parity report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import onnx

from export.engines.profiles import Room
from export.folder import ModelFolder, load_folder
from export.graphs import Graph
from export.guides import Guides, all_graphs, licence_of
from export.onnx import OnnxTarget, example_sizes
from export.parity import Agreement, cases, parity, write_report
from export.styles import read_styles, write_styles
from luciole.bundle import (
    Bundle,
    GraphSpec,
    PromptSettings,
    Sizes,
    TextEncoding,
    folder_hash,
    fresh_folder,
    write_manifest,
)
from luciole.compiled import Machine
from luciole.domain import BundleError, InvalidRequest
from luciole.engines.onnx import OnnxEngine
from luciole.recipe import recipe
from luciole.sampling import schedule_of

EXPORTER = Path(__file__).parent
LIBRARIES = ("luciole", "torch", "diffusers", "transformers", "onnx", "onnxscript", "onnxruntime")
PARITY_SLOTS = 5
TOKENIZERS = ("tokenizer", "tokenizer_2")
CASES = 3
"""Comparisons of each graph with torch."""


class Engines(Protocol):
    """Compiles graphs for one kind of machine."""

    def machine(self) -> Machine:
        """What the engines will be bound to; EngineError where this machine cannot compile."""
        ...

    def compile(
        self,
        graphs: Sequence[Graph],
        room: Room,
        example: Mapping[str, int],
        folder: Path,
        step: Callable[[str], None],
    ) -> None:
        """Write engines beside the ONNX graphs in a bundle's folder."""
        ...


@dataclass(frozen=True)
class SizeLimits:
    """Limits of picture sizes in pixels; None: half and twice the model's own size."""

    min: int | None = None
    max: int | None = None
    max_batch: int = 16

    def of(self, folder: ModelFolder) -> Sizes:
        """The sizes that the model takes, on its stride."""
        stride = folder.latent_stride * folder.latent_multiple
        default = folder.latent_size * folder.latent_stride
        return Sizes(
            default=default,
            min=self.min or max(stride, default // 2 // stride * stride),
            max=self.max or 2 * default,
            stride=stride,
            max_batch=self.max_batch,
        )


@dataclass(frozen=True)
class Export:
    """What to export and where to; `licence` None: what the model card says."""

    model: Path
    out: Path
    target: OnnxTarget = field(default_factory=OnnxTarget)
    name: str | None = None
    licence: str | None = None
    tolerance: float = 1e-4
    threads: int = 0
    sizes: SizeLimits = field(default_factory=SizeLimits)
    styles: tuple[Path, ...] = ()
    """LoRA files that the bundle brings along."""
    guides: Guides = field(default_factory=Guides)
    engines: Engines | None = None
    """None: the ONNX graphs alone."""
    stream: bool = False
    """Weights stay in their files until they are written; graphs are checked, not compared."""

    @property
    def steps(self) -> int:
        """What `step` is told of: reading, graphs, comparisons, hashing."""
        guides = self.guides
        guided = bool(guides.identity or guides.controls or guides.anchors)
        seeing = (guides.vision is not None) + (guides.looks is not None)
        count = 4 + seeing + len(guides.controls) + guided
        if self.stream:
            return 2 + 2 * count + guides.anchors
        compiled = 0 if self.engines is None else count + guides.anchors
        return 2 + (1 + CASES) * count + compiled

    def run(self, step: Callable[[str], None] = lambda _: None) -> tuple[Bundle, list[Agreement]]:
        """Write the bundle, or leave what was at `out` as it was and raise."""
        if self.engines is not None:
            if self.stream:
                raise InvalidRequest("stream", "engines are compiled with all weights in memory")
            self.engines.machine()
        step(f"reading {self.model.name}")
        folder = load_folder(self.model, self.stream)
        schedule_of(folder.scheduler)
        with fresh_folder(self.out) as fresh:
            agreements = self._fill(folder, fresh, step)
        return Bundle.open(self.out), agreements

    def _fill(
        self, folder: ModelFolder, fresh: Path, step: Callable[[str], None]
    ) -> list[Agreement]:
        styles = read_styles(self.styles, folder)
        read = all_graphs(folder, self.guides)
        made = read.graphs
        shape = (folder.latent_size, folder.latent_multiple, folder.window)
        specs = self._write(made, example_sizes(*shape), fresh, step)
        fields = {**self._fields(folder), **read.fields}
        fields |= {"prompt": write_tokenizers(folder, fresh), "graphs": specs}
        banks = {spec.bank.name: spec.bank for spec in specs.values() if spec.bank is not None}
        fields["styles"] = write_styles(styles, list(banks.values()), fresh)
        agreements: list[Agreement] = []
        if self.stream:
            check_graphs(specs, fresh, step)
        else:
            bundle = Bundle(fresh, write_manifest(fresh, fields))
            agreements = self._compare(made, bundle, cases(*shape, slots=PARITY_SLOTS), step)
        if self.engines is not None:
            room = Room(self.sizes.of(folder), folder.latent_stride, folder.window)
            self.engines.compile(made, room, example_sizes(*shape), fresh, step)
        step("hashing")
        write_manifest(fresh, fields)
        return agreements

    def _compare(
        self,
        made: Sequence[Graph],
        bundle: Bundle,
        sizes: Sequence[dict[str, int]],
        step: Callable[[str], None],
    ) -> list[Agreement]:
        engine = OnnxEngine(bundle, threads=self.threads, style_slots=PARITY_SLOTS)
        agreements = parity(made, engine, sizes, step)
        engine.close()
        write_report(agreements, self.tolerance, bundle.path)
        return agreements

    def _write(
        self,
        made: Sequence[Graph],
        example: dict[str, int],
        fresh: Path,
        step: Callable[[str], None],
    ) -> dict[str, GraphSpec]:
        """The graphs with their weights, and each as the manifest has it."""
        specs = {}
        for graph in made:
            step(f"exporting {graph.name}")
            written = self.target.write(graph, example, fresh)
            for name, spec in graph.specs.items():
                specs[name] = spec.model_copy(update={"weights": written[name]})
        return specs

    def _fields(self, folder: ModelFolder) -> dict[str, Any]:
        return {
            "name": self.name or self.model.resolve().name,
            "licence": self.licence or licence_of(self.model),
            "created_by": {library: version(library) for library in LIBRARIES},
            "source": folder_hash(self.model),
            "recipe": recipe(EXPORTER, self.model, self.styles, self.guides.folders),
            "tokenizers": TOKENIZERS,
            "scheduler": folder.scheduler,
            "sizes": self.sizes.of(folder),
            "latent_channels": folder.unet.config.in_channels,
            "latent_stride": folder.latent_stride,
        }


def check_graphs(specs: Mapping[str, GraphSpec], folder: Path, step: Callable[[str], None]) -> None:
    """Let ONNX's checker read each graph; BundleError with its words."""
    for name, spec in specs.items():
        step(f"checking {name}")
        try:
            onnx.checker.check_model(str(folder / spec.file))
        except onnx.checker.ValidationError as error:
            raise BundleError(spec.file, f"ONNX's checker refuses it: {error}") from error


def write_tokenizers(folder: ModelFolder, out: Path) -> PromptSettings:
    """Write one tokenizer.json per encoder; the special ids go into the manifest."""
    encodings = []
    for name, tokenizer in zip(TOKENIZERS, folder.tokenizers, strict=True):
        (out / name).mkdir()
        tokenizer.backend_tokenizer.save(str(out / name / "tokenizer.json"))
        encodings.append(
            TextEncoding(
                folder=name,
                bos=tokenizer.bos_token_id,
                eos=tokenizer.eos_token_id,
                pad=tokenizer.pad_token_id,
            )
        )
    return PromptSettings(
        window=folder.window,
        tokenizers=(encodings[0], encodings[1]),
        zeros_for_empty_negative=folder.zeros_for_empty_negative,
    )
