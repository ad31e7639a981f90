"""Puts a bundle together: graphs, tokenizers, manifest, parity report."""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from export.folder import ModelFolder, load_folder
from export.graphs import graphs
from export.onnx import OnnxTarget, example_sizes
from export.parity import Agreement, cases, parity, write_report
from export.styles import read_styles, write_styles
from luciole.bundle import (
    Bundle,
    PromptSettings,
    Sizes,
    TextEncoding,
    folder_hash,
    fresh_folder,
    write_manifest,
)
from luciole.engines.onnx import OnnxEngine
from luciole.sampling import schedule_of

LIBRARIES = ("luciole", "torch", "diffusers", "transformers", "onnx", "onnxscript", "onnxruntime")
PARITY_SLOTS = 5
TOKENIZERS = ("tokenizer", "tokenizer_2")
STEPS = 2 + 3 + 3 * 3
"""What `step` is told of while exporting: reading, three graphs, nine comparisons, hashing."""


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

    def run(self, step: Callable[[str], None] = lambda _: None) -> tuple[Bundle, list[Agreement]]:
        """Write the bundle, or leave what was at `out` as it was and raise."""
        step(f"reading {self.model.name}")
        folder = load_folder(self.model)
        schedule_of(folder.scheduler)
        with fresh_folder(self.out) as fresh:
            agreements = self._fill(folder, fresh, step)
        return Bundle.open(self.out), agreements

    def _fill(
        self, folder: ModelFolder, fresh: Path, step: Callable[[str], None]
    ) -> list[Agreement]:
        styles = read_styles(self.styles, folder)
        made = graphs(folder)
        shape = (folder.latent_size, folder.latent_multiple, folder.window)
        for graph in made:
            step(f"exporting {graph.name}")
            self.target.write(graph, example_sizes(*shape), fresh)
        prompt = write_tokenizers(folder, fresh)
        fields = {**self._fields(folder), "prompt": prompt}
        fields["graphs"] = {graph.name: graph.spec for graph in made}
        bank = made[-1].spec.bank
        fields["styles"] = {} if bank is None else write_styles(styles, bank, fresh)
        bundle = Bundle(fresh, write_manifest(fresh, fields))
        engine = OnnxEngine(bundle, threads=self.threads, style_slots=PARITY_SLOTS)
        agreements = parity(made, engine, cases(*shape, slots=PARITY_SLOTS), step)
        engine.close()
        write_report(agreements, self.tolerance, fresh)
        step("hashing")
        write_manifest(fresh, fields)
        return agreements

    def _fields(self, folder: ModelFolder) -> dict[str, Any]:
        return {
            "name": self.name or self.model.resolve().name,
            "licence": self.licence or card_licence(self.model),
            "created_by": {library: version(library) for library in LIBRARIES},
            "source": folder_hash(self.model),
            "tokenizers": TOKENIZERS,
            "scheduler": folder.scheduler,
            "sizes": self.sizes.of(folder),
            "latent_channels": folder.unet.config.in_channels,
            "latent_stride": folder.latent_stride,
        }


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


def card_licence(model: Path) -> str:
    """`license:` in the front matter of the model card, or 'unknown'."""
    card = model / "README.md"
    lines = card.read_text(encoding="utf-8").splitlines() if card.is_file() else []
    if lines[:1] == ["---"]:
        for line in lines[1 : lines.index("---", 1) if "---" in lines[1:] else 1]:
            if line.startswith("license:"):
                return line.removeprefix("license:").strip()
    return "unknown"
