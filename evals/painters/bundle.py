"""An exported bundle draws, through the engine that serves it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evals.checkpoint import Checkpoint
from evals.errors import EvaluationError
from evals.painters.painter import Architecture
from evals.sample import Image, Sample, Settings
from luciole.bundle import MANIFEST, Bundle, Manifest, sha256
from luciole.domain import RenderPlan, StyleUse
from luciole.engines import Engine
from luciole.engines.onnx import OnnxEngine
from luciole.pipeline import Pipeline


class BundlePainter:
    """Whatever a RenderPlan can say, over ONNX Runtime in this process or a Triton server."""

    def __init__(self, checkpoint: Checkpoint, settings: Settings) -> None:
        self.name, self._checkpoint = checkpoint.name, checkpoint
        self._settings = checkpoint.asked(settings)
        self._bundle = Bundle.open(checkpoint.base)
        self._hash = sha256(Path(checkpoint.base) / MANIFEST)
        self._weights = _weights(checkpoint, self._bundle.manifest)
        self.engine = "triton" if checkpoint.triton else "onnx"
        self._engine = self._opened()
        self._pipeline = Pipeline(self._engine)
        self.architecture: Architecture | None = architecture(self._bundle.manifest)

    def _opened(self) -> Engine:
        if self._checkpoint.triton:
            from luciole.engines.triton import TritonEngine

            return TritonEngine(self._bundle, self._checkpoint.triton)
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
                seed=sample.seed,
                solver=asked.solver,
                styles=styles,
            )
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise EvaluationError(self.name, f"{field}: {first['msg']}") from error

    def _mix(self, sample: Sample) -> tuple[StyleUse, ...]:
        asked = dict(self._weights.items() if sample.styles is None else sample.styles)
        return tuple(StyleUse(name=n, weight=w) for n, w in asked.items() if n in self._weights)


def _weights(checkpoint: Checkpoint, manifest: Manifest) -> dict[str, float]:
    """Of the styles that the checkpoint names; EvaluationError for what a bundle has not."""
    for part in checkpoint.parts:
        if part.kind != "style":
            words = f"{part.kind} is not drawn through a bundle here; give the diffusers folder"
            raise EvaluationError(checkpoint.name, words)
    weights: dict[str, float] = {}
    for part in checkpoint.of("style"):
        names = list(manifest.styles) if part.what == "all" else [part.what]
        for name in names:
            if name not in manifest.styles:
                there = ", ".join(manifest.styles) or "none"
                raise EvaluationError(checkpoint.name, f"style {name!r}: there are {there}")
            weights[name] = part.weight
    return weights


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
