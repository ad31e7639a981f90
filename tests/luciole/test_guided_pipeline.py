"""Pictures that guide pictures, against diffusers' pipelines and against closed forms."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from luciole.bundle import Bundle
from luciole.domain import InvalidRequest, RenderPlan, SolverName
from luciole.engines.onnx import OnnxEngine
from luciole.pictures import PicturesInMemory, signed, unsigned
from luciole.pipeline import Pipeline

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
SIDE, STEPS = 64, 3
NOISE = np.random.default_rng(3).standard_normal((8, SIDE // 8, SIDE // 8), dtype=np.float32)


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


PICTURES = PicturesInMemory()
GIRL, OTHER, POSE, DEPTH = (PICTURES.add(picture(seed)) for seed in range(4))
LEFT = PICTURES.add(
    np.repeat(np.indices((SIDE, SIDE))[1][:, :, None] < 32, 3, 2).astype(np.uint8) * 255
)
NOWHERE = PICTURES.add(np.zeros((SIDE, SIDE, 3), np.uint8))


def plan(**changes: Any) -> RenderPlan:
    settled: dict[str, Any] = {
        "prompt": "a girl walking in rain",
        "negative_prompt": "red hair",
        "width": SIDE,
        "height": SIDE,
        "steps": STEPS,
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


def latents_of(pipeline: Pipeline, ask: RenderPlan) -> np.ndarray:
    return pipeline.denoise([ask], latents=[NOISE])[0]


def theirs(build: Any, folder: Path, **parts: Any) -> Any:
    pipe = build.from_pretrained(folder, **parts)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def asked(pipe: Any, ask: RenderPlan, **more: Any) -> np.ndarray:
    answer = pipe(
        ask.prompt,
        negative_prompt=ask.negative_prompt,
        height=ask.height,
        width=ask.width,
        num_inference_steps=ask.steps,
        guidance_scale=ask.guidance_scale,
        latents=torch.from_numpy(NOISE[None]),
        output_type="latent",
        **more,
    )
    found: np.ndarray = answer.images[0].numpy()
    return found


def same(found: np.ndarray, expected: np.ndarray) -> None:
    """Within 1e-4 of the largest; diffusers ends where we end, at what is clean."""
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("scale", [0.0, 0.7])
def test_an_identity_is_heard_as_diffusers_hears_an_ip_adapter(
    pipeline: Pipeline, guided_bundle: Bundle, tiny_folder: Path, scale: float
) -> None:
    from diffusers import StableDiffusionXLPipeline
    from transformers import CLIPVisionModelWithProjection

    place = guided_bundle.path.parent
    eye = CLIPVisionModelWithProjection.from_pretrained(place / "eye")
    pipe = theirs(StableDiffusionXLPipeline, tiny_folder, image_encoder=eye)
    file = "ip_adapter.safetensors"
    pipe.load_ip_adapter(str(place / "identity"), subfolder="", weight_name=file)
    pipe.set_ip_adapter_scale(scale)
    pipe.feature_extractor = processor()
    uses = [{"references": [GIRL, OTHER], "weight": scale}]
    shown = [[Image.fromarray(PICTURES.open(name)) for name in (GIRL, OTHER)]]
    expected = asked(pipe, plan(), ip_adapter_image=shown)
    found = latents_of(pipeline, plan(identities=uses))
    same(found, expected)
    heard = np.abs(found - latents_of(pipeline, plan())).max()
    assert (heard > 0.01) == (scale > 0)


def processor() -> Any:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    return CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32)


def test_controls_add_up_in_their_windows_as_in_diffusers(
    pipeline: Pipeline, guided_bundle: Bundle, tiny_folder: Path
) -> None:
    from diffusers import ControlNetModel, StableDiffusionXLControlNetPipeline

    place = guided_bundle.path.parent
    # diffusers' pipeline feeds words to every control net; ours of depth takes none.
    build: Any = ControlNetModel
    nets = [build.from_pretrained(place / "pose") for _ in range(2)]
    pipe = theirs(StableDiffusionXLControlNetPipeline, tiny_folder, controlnet=nets)
    expected = asked(
        pipe,
        plan(),
        image=[torch.from_numpy(unsigned(PICTURES.open(name)))[None] for name in (POSE, DEPTH)],
        controlnet_conditioning_scale=[0.8, 0.5],
        control_guidance_start=[0.0, 0.3],
        control_guidance_end=[0.7, 1.0],
    )
    uses = [
        {"kind": "pose", "picture": POSE, "weight": 0.8, "end": 0.7},
        {"kind": "pose", "picture": DEPTH, "weight": 0.5, "begin": 0.3},
    ]
    found = latents_of(pipeline, plan(controls=uses))
    same(found, expected)
    assert np.abs(found - latents_of(pipeline, plan())).max() > 0.01


def test_a_control_without_words_runs_once_for_both_rows(
    guided_bundle: Bundle, tiny_folder: Path
) -> None:
    engine = Counting(guided_bundle, threads=1)
    use = {"kind": "depth", "picture": DEPTH, "end": 0.67}
    guided = Pipeline(engine, PICTURES).denoise([plan(controls=[use])])[0]
    plain = Pipeline(engine, PICTURES).denoise([plan()])[0]
    assert engine.rows["controlnet_depth"] == [1, 1]
    assert engine.rows["denoiser_guided"] == [2, 2]
    assert engine.rows["denoiser"] == [2] + [2] * STEPS
    assert np.abs(guided - plain).max() > 0.01
    engine.close()


class Counting(OnnxEngine):
    """Counts the rows of each call."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        super().__init__(bundle, threads)
        self.rows: dict[str, list[int]] = {}

    def run(self, graph: str, inputs: Any) -> Any:
        self.rows.setdefault(graph, []).append(len(next(iter(inputs.values()))))
        return super().run(graph, inputs)


def test_what_guides_nothing_changes_nothing(pipeline: Pipeline) -> None:
    plain = latents_of(pipeline, plan())
    unheard = plan(identities=[{"references": [GIRL], "weight": 0}])
    nowhere = plan(identities=[{"references": [GIRL], "mask": NOWHERE}])
    for ask in (unheard, nowhere):
        assert np.abs(latents_of(pipeline, ask) - plain).max() < 1e-4 * np.abs(plain).max()
    for ask in (
        plan(controls=[{"kind": "pose", "picture": POSE, "weight": 0}]),
        plan(anchor={"picture": OTHER, "strength": 0}),
        plan(reference={"picture": OTHER, "strength": 0}),
        plan(family={"seed": 9, "share": 0}),
    ):
        assert pipeline.render([ask])[0].tobytes() == pipeline.render([plan()])[0].tobytes()


def test_two_identities_stay_in_their_areas_and_one_in_two_halves_is_one(
    pipeline: Pipeline,
) -> None:
    right = PICTURES.add(255 - PICTURES.open(LEFT))
    halves = [{"references": [GIRL], "mask": mask} for mask in (LEFT, right)]
    whole = latents_of(pipeline, plan(identities=[{"references": [GIRL]}]))
    same(latents_of(pipeline, plan(identities=halves)), whole)
    others = [{**halves[0]}, {**halves[1], "references": [OTHER, GIRL]}]
    assert np.abs(latents_of(pipeline, plan(identities=others)) - whole).max() > 3e-4


def test_style_and_layout_blocks_hear_less_than_all(pipeline: Pipeline) -> None:
    heard = {
        blocks: latents_of(
            pipeline, plan(identities=[{"references": [GIRL], "blocks": blocks}])
        ).tobytes()
        for blocks in ("all", "style", "layout")
    }
    assert len(set(heard.values())) == 3


def test_an_anchor_is_read_in_its_window_only(pipeline: Pipeline) -> None:
    plain = latents_of(pipeline, plan())
    everywhere, late, other = (
        latents_of(pipeline, plan(anchor={"picture": name, "begin": begin}))
        for name, begin in ((GIRL, 0), (GIRL, 0.9), (OTHER, 0))
    )
    assert np.abs(everywhere - plain).max() > 1e-3
    assert np.abs(everywhere - other).max() > 1e-3
    assert late.tobytes() == plain.tobytes()


def test_outside_of_the_mask_the_picture_is_the_very_same(pipeline: Pipeline) -> None:
    ask = plan(start={"picture": GIRL, "strength": 1}, mask={"picture": LEFT, "feather": 4})
    drawn, before = pipeline.render([ask])[0], PICTURES.open(GIRL)
    assert (drawn[:, 36:] == before[:, 36:]).all()
    assert (drawn[:, :32] != before[:, :32]).mean() > 0.9
    nothing = plan(start={"picture": GIRL, "strength": 1}, mask={"picture": NOWHERE})
    assert (pipeline.render([nothing])[0] == before).all()


def test_a_start_begins_at_the_noise_level_of_its_strength(
    pipeline: Pipeline, guided_bundle: Bundle
) -> None:
    seen: list[int] = []
    ask = plan(steps=10, start={"picture": GIRL, "strength": 0.3})
    pipeline.render([ask], progress=lambda done, total: seen.append(total))
    assert seen == [3, 3, 3]
    all_noise = plan(start={"picture": GIRL, "strength": 1})
    assert latents_of(pipeline, all_noise).tobytes() == latents_of(pipeline, plan()).tobytes()
    with pytest.raises(InvalidRequest, match="of 3 steps is none") as refused:
        pipeline.check(plan(start={"picture": GIRL, "strength": 0.1}))
    assert refused.value.field == "start.strength"


def test_a_reference_of_full_strength_is_where_one_arrives(
    pipeline: Pipeline, guided_bundle: Bundle
) -> None:
    engine = OnnxEngine(guided_bundle, threads=1)
    pixels = signed(PICTURES.open(OTHER))[None]
    there = engine.run("vae_encoder", {"pictures": pixels})["latents"][0]
    ask = plan(reference={"picture": OTHER, "strength": 1, "end": 1})
    np.testing.assert_allclose(latents_of(pipeline, ask), there, atol=1e-5)
    engine.close()


def test_guided_pictures_are_the_same_with_any_neighbours(pipeline: Pipeline) -> None:
    girl = {"references": [GIRL]}
    plans = [
        plan(),
        plan(identities=[girl]),
        plan(identities=[girl], controls=[{"kind": "pose", "picture": POSE}], seed=2),
        plan(anchor={"picture": GIRL}, seed=3, styles=[{"name": "ink"}]),
        plan(start={"picture": GIRL, "strength": 0.7}, mask={"picture": LEFT}, guidance_scale=1),
        plan(identities=[girl, {"references": [OTHER, GIRL]}], seed=4),
    ]
    together = [one.tobytes() for one in pipeline.render(plans)]
    assert together == [pipeline.render([one])[0].tobytes() for one in plans]
    assert len(set(together)) == len(plans)


def test_one_can_look_at_what_is_being_drawn(pipeline: Pipeline) -> None:
    seen: list[np.ndarray] = []
    ask = plan(start={"picture": GIRL, "strength": 1}, mask={"picture": LEFT, "feather": 0})
    last = pipeline.render([ask], look=lambda done, total, now: seen.append(now()[0]))[0]
    assert len(seen) == STEPS
    assert (seen[0][:, 32:] == PICTURES.open(GIRL)[:, 32:]).all()
    assert (seen[-1] == last).all()


def test_a_picture_that_is_nowhere_is_named(pipeline: Pipeline) -> None:
    with pytest.raises(InvalidRequest, match="000000000000 is not here"):
        pipeline.render([plan(start={"picture": "0" * 64, "strength": 1})])
