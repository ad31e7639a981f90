"""Strategies for several styles, in closed form and through a real engine."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from luciole.blending import Blend
from luciole.bundle import Bundle
from luciole.domain import InvalidRequest, RenderPlan, SolverName, StyleStrategy, StyleUse
from luciole.engines.bank import Factors, Mix, Style
from luciole.engines.onnx import OnnxEngine
from luciole.engines.styles import Shelved
from luciole.pictures import PicturesInMemory
from luciole.pipeline import Pipeline

SIDE = 64
PICTURES = PicturesInMemory()
LEFT = PICTURES.add(
    np.repeat(np.indices((SIDE, SIDE))[1][:, :, None] < 32, 3, 2).astype(np.uint8) * 255
)
EVERYWHERE = PICTURES.add(np.full((SIDE, SIDE, 3), 255, np.uint8))
INK, NEON = StyleUse(name="ink"), StyleUse(name="neon", weight=0.5)
MIX = Mix(
    slots=np.array([3, 4, 7, 0]),
    weights=np.array([1, 1, 0.5, 0], np.float32),
    owners=np.array([0, 0, 1, -1]),
)


def weights(blend: Blend, step: int) -> list[list[float]]:
    return [mix.weights.tolist() for mix in blend.voices(step) if mix is not None]


def test_a_sum_is_one_voice_and_a_composite_one_for_each_style() -> None:
    assert weights(Blend(MIX), 0) == [[1, 1, 0.5, 0]]
    apart = weights(Blend(MIX, StyleStrategy.COMPOSITE), 0)
    assert apart == [[1, 1, 0, 0], [0, 0, 0.5, 0]]
    assert weights(Blend(MIX, StyleStrategy.REGIONAL), 0) == [*apart, [0, 0, 0, 0]]


def test_styles_take_turns_of_so_many_steps() -> None:
    switch = Blend(MIX, StyleStrategy.SWITCH, turn=2)
    first = [weights(switch, step)[0][0] == 1 for step in range(6)]
    assert first == [True, True, False, False, True, True]


def test_regions_share_where_they_overlap_and_leave_the_rest_alone() -> None:
    areas = np.array([[[1, 1, 0, 0.5]], [[0, 1, 0, 0]]], np.float32)
    answers = np.array([[[[1, 1, 1, 1]]], [[[3, 3, 3, 3]]], [[[10, 10, 10, 10]]]], np.float32)
    blend = Blend(MIX, StyleStrategy.REGIONAL, areas=areas)
    np.testing.assert_allclose(blend.together(answers)[0, 0], [1, 2, 10, 5.5])


def test_a_plan_with_masks_is_regional_and_needs_their_pictures() -> None:
    masked = plan(styles=(INK.model_copy(update={"mask": LEFT}),), style_strategy="regional")
    assert masked.pictures == (LEFT,)
    with pytest.raises(ValidationError, match="need each other"):
        plan(styles=(INK,), style_strategy="regional")
    with pytest.raises(ValidationError, match="need each other"):
        plan(styles=(INK.model_copy(update={"mask": LEFT}),))


def plan(**changes: Any) -> RenderPlan:
    settled: dict[str, Any] = {
        "prompt": "a girl",
        "negative_prompt": "rain",
        "width": SIDE,
        "height": SIDE,
        "steps": 1,
        "guidance_scale": 3.0,
        "seed": 1,
        "solver": SolverName.EULER,
    }
    return RenderPlan(**{**settled, **changes})


@pytest.fixture(scope="module")
def pipeline(guided_bundle: Bundle) -> Iterator[Pipeline]:
    engine = OnnxEngine(guided_bundle, threads=1)
    yield Pipeline(engine, PICTURES)
    engine.close()


def latents(pipeline: Pipeline, **changes: Any) -> np.ndarray:
    return pipeline.denoise([plan(**changes)])[0]


def test_a_composite_step_is_the_mean_of_the_styles_alone(pipeline: Pipeline) -> None:
    alone = [latents(pipeline, styles=(style,)) for style in (INK, NEON)]
    composite = latents(pipeline, styles=(INK, NEON), style_strategy="composite")
    np.testing.assert_allclose(composite, (alone[0] + alone[1]) / 2, atol=1e-5)
    assert np.abs(composite - latents(pipeline, styles=(INK, NEON))).max() > 0.01


def test_a_switch_is_each_style_in_its_steps(pipeline: Pipeline) -> None:
    long = {"styles": (INK, NEON), "style_strategy": "switch", "steps": 3}
    first = latents(pipeline, **long, style_turn=3)
    np.testing.assert_allclose(first, latents(pipeline, styles=(INK,), steps=3), atol=1e-5)
    assert np.abs(first - latents(pipeline, **long, style_turn=1)).max() > 0.01


def test_a_region_is_the_style_inside_and_no_style_outside(pipeline: Pipeline) -> None:
    masked = INK.model_copy(update={"mask": LEFT})
    mixed = latents(pipeline, styles=(masked,), style_strategy="regional")
    inside, outside = latents(pipeline, styles=(INK,)), latents(pipeline)
    np.testing.assert_allclose(mixed[:, :, :4], inside[:, :, :4], atol=1e-5)
    np.testing.assert_allclose(mixed[:, :, 4:], outside[:, :, 4:], atol=1e-5)
    assert np.abs(inside - outside).max() > 0.01


def test_strategies_share_a_batch_and_each_draws_what_it_draws_alone(pipeline: Pipeline) -> None:
    plans = [
        plan(styles=(INK, NEON)),
        plan(styles=(INK, NEON), style_strategy="composite"),
        plan(styles=(NEON, INK), style_strategy="switch"),
        plan(),
    ]
    together = pipeline.denoise(plans)
    for one, drawn in zip(plans, together, strict=True):
        np.testing.assert_allclose(drawn, pipeline.denoise([one])[0], atol=1e-4)


class Shelf:
    """One style more than the bundle has, which can change."""

    def __init__(self, pipeline: Pipeline) -> None:
        layer = pipeline.manifest.banks[0].layers[0]
        self._shape = (layer.path, layer.inputs, layer.outputs)
        self.version, self.words = 0, False

    def find(self, name: str) -> Shelved:
        return Shelved(f"{name}#{self.version}", 1, self.words)

    def read(self, name: str) -> Style:
        path, inputs, outputs = self._shape
        size = np.float32(self.version)
        return {path: Factors(np.ones((1, inputs), np.float32), np.ones((outputs, 1)) * size)}


def test_a_style_from_elsewhere_is_read_again_when_it_has_changed(pipeline: Pipeline) -> None:
    shelf = Shelf(pipeline)
    other = Pipeline(pipeline.engine, PICTURES, shelf)
    mine = (StyleUse(name="mine"),)
    np.testing.assert_array_equal(latents(other, styles=mine), latents(pipeline))
    shelf.version = 1
    assert np.abs(latents(other, styles=mine) - latents(pipeline)).max() > 0.01


def test_what_changes_words_cannot_take_turns(pipeline: Pipeline) -> None:
    shelf = Shelf(pipeline)
    shelf.words = True
    other = Pipeline(pipeline.engine, PICTURES, shelf)
    with pytest.raises(InvalidRequest, match="only sum can do") as caught:
        other.check(plan(styles=(StyleUse(name="mine"),), style_strategy="switch"))
    assert caught.value.field == "style_strategy"
