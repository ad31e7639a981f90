"""An exported bundle draws, through the engine that serves it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evals.cache import picture_hash
from evals.checkpoint import Checkpoint
from evals.errors import EvaluationError
from evals.painters.painter import Architecture
from evals.sample import Image, Sample, Settings
from luciole.bundle import MANIFEST, Bundle, Manifest, sha256
from luciole.compiled import Runtime
from luciole.domain import ControlKind, ControlUse, IdentityUse, RenderPlan, StyleUse
from luciole.engines import Engine
from luciole.engines.onnx import OnnxEngine
from luciole.engines.openvino import OpenVinoEngine
from luciole.pipeline import Pipeline

OWN = "own"
"""What a checkpoint calls the adapters that its bundle brings: `out/bundle+identity:own@0.8`."""


class BundlePainter:
    """Whatever a RenderPlan can say, over a runtime in this process or a Triton server."""

    def __init__(self, checkpoint: Checkpoint, settings: Settings) -> None:
        self.name, self._checkpoint = checkpoint.name, checkpoint
        self._settings = checkpoint.asked(settings)
        self._bundle = Bundle.open(checkpoint.base)
        self._hash = sha256(Path(checkpoint.base) / MANIFEST)
        self._weights = _weights(checkpoint, self._bundle.manifest)
        self._guides = _guides(checkpoint, self._bundle.manifest)
        self.engine = "triton" if checkpoint.triton else (checkpoint.runtime or Runtime.ONNX).value
        self._engine, self._shown = self._opened(), Shown()
        self._pipeline = Pipeline(self._engine, self._shown)
        self.architecture: Architecture | None = architecture(self._bundle.manifest)

    def _opened(self) -> Engine:
        if self._checkpoint.triton:
            from luciole.engines.triton import TritonEngine

            return TritonEngine(self._bundle, self._checkpoint.triton)
        if self._checkpoint.runtime is Runtime.OPENVINO:
            return OpenVinoEngine(self._bundle, threads=self._settings.threads)
        return OnnxEngine(self._bundle, threads=self._settings.threads)

    def recipe(self, sample: Sample) -> Mapping[str, Any]:
        """The plan, the bundle's manifest (it has the hash of every file) and the engine."""
        plan = self.plan(sample).model_dump(mode="json", exclude_defaults=True)
        return {"plan": plan, "bundle": self._hash, "engine": self.engine}

    def draw(self, samples: Sequence[Sample]) -> list[Image]:
        """In one call of the pipeline."""
        return list(self._pipeline.render([self.plan(sample) for sample in samples]))

    def close(self) -> None:
        """Ends sessions and connections."""
        self._engine.close()

    def plan(self, sample: Sample) -> RenderPlan:
        """What the pipeline is told; a style's word comes before the prompt's."""
        asked, styles = self._settings, self._mix(sample)
        size = asked.size or self._bundle.manifest.sizes.default
        triggers = [self._bundle.manifest.styles[use.name].trigger for use in styles]
        try:
            return RenderPlan(
                prompt=", ".join([*triggers, sample.prompt]),
                width=size,
                height=size,
                steps=asked.steps,
                guidance_scale=asked.guidance_scale,
                guidance_eta=asked.guidance_eta,
                seed=sample.seed,
                solver=asked.solver,
                styles=styles,
                identities=self._identities(sample),
                controls=self._controls(sample),
            )
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise EvaluationError(self.name, f"{field}: {first['msg']}") from error

    def _mix(self, sample: Sample) -> tuple[StyleUse, ...]:
        asked = dict(self._weights.items() if sample.styles is None else sample.styles)
        return tuple(StyleUse(name=n, weight=w) for n, w in asked.items() if n in self._weights)

    def _identities(self, sample: Sample) -> tuple[IdentityUse, ...]:
        if "identity" not in self._guides or sample.reference is None:
            return ()
        seen = (self._shown.named(sample.reference),)
        return (IdentityUse(references=seen, weight=self._guides["identity"]),)

    def _controls(self, sample: Sample) -> tuple[ControlUse, ...]:
        return tuple(
            ControlUse(
                kind=ControlKind(kind),
                picture=self._shown.named(drawing),
                weight=self._guides[kind],
            )
            for kind, drawing in sample.controls.items()
            if kind in self._guides
        )


class Shown:
    """The pictures that plans name, as the pipeline asks for them."""

    def __init__(self) -> None:
        self._pictures: dict[str, Image] = {}

    def named(self, picture: Image) -> str:
        """Its hash, under which it is found from now on."""
        name = picture_hash(picture)
        self._pictures[name] = picture
        return name

    def open(self, sha256: str) -> Image:
        """The picture of that hash."""
        return self._pictures[sha256]


def _weights(checkpoint: Checkpoint, manifest: Manifest) -> dict[str, float]:
    """Of the styles that the checkpoint names."""
    weights: dict[str, float] = {}
    for part in checkpoint.of("style"):
        names = list(manifest.styles) if part.what == "all" else [part.what]
        for name in names:
            if name not in manifest.styles:
                there = ", ".join(manifest.styles) or "none"
                raise EvaluationError(checkpoint.name, f"style {name!r}: there are {there}")
            weights[name] = part.weight
    return weights


def _guides(checkpoint: Checkpoint, manifest: Manifest) -> dict[str, float]:
    """Weights of the identity and the controls; EvaluationError for what the bundle has not."""
    has: dict[str, object] = {kind.value: one for kind, one in manifest.controls.items()}
    has["identity"] = manifest.identity
    found = {}
    for part in checkpoint.parts:
        if part.kind == "style":
            continue
        if part.kind == "student":
            words = "student: an exported student is a bundle of its own; name that"
            raise EvaluationError(checkpoint.name, words)
        if part.what != OWN:
            words = f"{part.kind}: a bundle has its own, write {part.kind}:{OWN}"
            raise EvaluationError(checkpoint.name, words)
        if has.get(part.kind) is None:
            raise EvaluationError(checkpoint.name, f"{part.kind}: was exported without it")
        found[part.kind] = part.weight
    return found


def architecture(manifest: Manifest) -> Architecture:
    """As the denoiser's graph tells it."""
    denoiser = manifest.graphs["denoiser"]
    inputs = {tensor.name: tensor.shape for tensor in denoiser.inputs}
    layers = () if denoiser.bank is None else denoiser.bank.layers
    return Architecture(
        resolution=manifest.sizes.default,
        latent_channels=manifest.latent_channels,
        text_width=int(inputs["text_states"][-1]),
        pooled_width=int(inputs["pooled"][-1]),
        layers=tuple((one.path, one.inputs, one.outputs) for one in layers if _asks(one.path)),
    )


def _asks(path: str) -> bool:
    """Whether it is the queries' layer of an attention."""
    return path.endswith(".to_q")
