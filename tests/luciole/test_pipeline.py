"""The whole way from plan to picture, against diffusers' pipeline and against itself."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from luciole.bundle import Bundle
from luciole.domain import EngineBadOutput, InvalidRequest, RenderPlan, SolverName
from luciole.engines.bank import StyleBank
from luciole.engines.onnx import OnnxEngine
from luciole.pipeline import Pipeline

# diffusers hands torch tensors to np.array, which numpy 2 comments on.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

LONG = ", ".join(["a girl in red rain"] * 20)


def plan(**changes: Any) -> RenderPlan:
    settled: dict[str, Any] = {
        "prompt": "a girl walking in rain",
        "negative_prompt": "red hair",
        "width": 128,
        "height": 128,
        "steps": 4,
        "guidance_scale": 3.0,
        "seed": 1,
        "solver": SolverName.EULER,
    }
    return RenderPlan(**{**settled, **changes})


class Recording:
    """An engine that counts rows and can be told to answer with NaN for one of them."""

    def __init__(self, engine: OnnxEngine) -> None:
        self.engine = engine
        self.rows: list[int] = []
        self.spoil: tuple[str, int] | None = None

    @property
    def bundle(self) -> Bundle:
        return self.engine.bundle

    @property
    def bank(self) -> StyleBank | None:
        return self.engine.bank

    def run(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        if graph == "denoiser":
            self.rows.append(len(inputs["latents"]))
        outputs = self.engine.run(graph, inputs)
        if self.spoil and self.spoil[0] == graph:
            for value in outputs.values():
                value[self.spoil[1]] = np.nan
        return outputs

    def close(self) -> None:
        self.engine.close()


@pytest.fixture(scope="module")
def engine(tiny_bundle: Bundle) -> Iterator[OnnxEngine]:
    engine = OnnxEngine(tiny_bundle, threads=1)
    yield engine
    engine.close()


@pytest.fixture
def recording(engine: OnnxEngine) -> Recording:
    return Recording(engine)


@pytest.fixture(scope="module")
def theirs(tiny_folder: Path) -> Any:
    from diffusers import StableDiffusionXLPipeline

    pipeline = StableDiffusionXLPipeline.from_pretrained(tiny_folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def diffusers_scheduler(solver: SolverName, config: Any) -> Any:
    import diffusers

    match solver:
        case SolverName.DDIM:
            return diffusers.DDIMScheduler.from_config(config, clip_sample=False)
        case SolverName.EULER:
            return diffusers.EulerDiscreteScheduler.from_config(config)
        case SolverName.EULER_ANCESTRAL:
            return diffusers.EulerAncestralDiscreteScheduler.from_config(config)
        case SolverName.DPMPP_2M:
            return diffusers.DPMSolverMultistepScheduler.from_config(config)


@pytest.mark.parametrize("guidance_scale", [1.0, 5.0])
@pytest.mark.parametrize("solver", [SolverName.DDIM, SolverName.EULER, SolverName.DPMPP_2M])
def test_the_picture_is_that_of_diffusers(
    engine: OnnxEngine, theirs: Any, solver: SolverName, guidance_scale: float
) -> None:
    import torch

    ask = plan(solver=solver, guidance_scale=guidance_scale, width=160, steps=8)
    noise = np.random.default_rng(3).standard_normal((8, 16, 20), dtype=np.float32)
    pipeline = Pipeline(engine)
    ours = pipeline.decode(pipeline.denoise([ask], latents=[noise]))[0]
    theirs.scheduler = diffusers_scheduler(solver, theirs.scheduler.config)
    expected = theirs(
        ask.prompt,
        negative_prompt=ask.negative_prompt,
        height=ask.height,
        width=ask.width,
        num_inference_steps=ask.steps,
        guidance_scale=ask.guidance_scale,
        latents=torch.from_numpy(noise[None]),
        output_type="pil",
    ).images[0]
    difference = np.abs(ours.astype(int) - np.asarray(expected).astype(int))
    assert ours.std() > 5
    assert difference.max() <= 1


@pytest.mark.parametrize("solver", list(SolverName))
def test_the_same_plan_twice_gives_the_same_bytes(engine: OnnxEngine, solver: SolverName) -> None:
    first, second = (Pipeline(engine).render([plan(solver=solver)])[0] for _ in range(2))
    assert first.shape == (128, 128, 3)
    assert first.dtype == np.uint8
    assert first.tobytes() == second.tobytes()


def test_another_seed_gives_another_picture(engine: OnnxEngine) -> None:
    one, other = Pipeline(engine).render([plan(seed=1), plan(seed=2)])
    assert (one != other).mean() > 0.5


def test_a_picture_is_the_same_alone_and_in_a_mixed_batch(engine: OnnxEngine) -> None:
    pipeline = Pipeline(engine)
    mixed = [
        plan(),
        plan(steps=7, guidance_scale=1.0, solver=SolverName.DPMPP_2M, seed=5),
        plan(prompt=LONG, solver=SolverName.EULER_ANCESTRAL, seed=6),
        plan(guidance_eta=0.0),
        plan(width=64, height=96, steps=2, solver=SolverName.DDIM),
    ]
    together = pipeline.render(mixed)
    for ask, picture in zip(mixed, together, strict=True):
        assert picture.shape == (ask.height, ask.width, 3)
        alone = pipeline.render([ask])[0]
        assert np.abs(alone.astype(int) - picture.astype(int)).max() <= 1


def test_guidance_eta_changes_the_picture_where_there_is_guidance(engine: OnnxEngine) -> None:
    plain, projected, unguided, still = Pipeline(engine).render(
        [
            plan(),
            plan(guidance_eta=0),
            plan(guidance_scale=1),
            plan(guidance_scale=1, guidance_eta=0),
        ]
    )
    assert (plain != projected).any()
    assert (unguided == still).all()


def test_guidance_of_one_costs_one_row_and_samples_leave_when_done(recording: Recording) -> None:
    plans = [plan(steps=1), plan(steps=3, guidance_scale=1.0), plan(steps=2)]
    Pipeline(recording).denoise(plans)
    assert recording.rows == [5, 3, 1]


def test_a_batch_larger_than_the_bundles_is_run_in_parts(recording: Recording) -> None:
    Pipeline(recording).denoise([plan(steps=1, seed=i) for i in range(10)])
    assert recording.rows == [16, 4]


def test_every_word_of_a_long_prompt_counts(engine: OnnxEngine) -> None:
    pipeline = Pipeline(engine)
    one, other = pipeline.render([plan(prompt=LONG + " red"), plan(prompt=LONG + " walking")])
    assert (one != other).any()


def test_progress_counts_steps_over_all_sizes(engine: OnnxEngine) -> None:
    seen: list[tuple[int, int]] = []
    plans = [plan(steps=2), plan(steps=1), plan(steps=3, width=64)]
    Pipeline(engine).render(plans, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(2, 6), (3, 6), (4, 6), (5, 6), (6, 6)]


@pytest.mark.parametrize(
    ("field", "value"), [("width", 100), ("height", 32), ("width", 288), ("height", 8192)]
)
def test_a_size_off_the_stride_or_out_of_range_is_refused_by_name(
    recording: Recording, field: str, value: int
) -> None:
    with pytest.raises(InvalidRequest, match="multiple of 32 from 64 to 256") as caught:
        Pipeline(recording).render([plan(), plan(**{field: value})])
    assert caught.value.field == field
    assert recording.rows == []


def test_nan_from_the_denoiser_names_the_sample(recording: Recording) -> None:
    recording.spoil = ("denoiser", 1)
    with pytest.raises(EngineBadOutput, match="prediction: sample 2"):
        Pipeline(recording).render([plan(), plan(width=64), plan()])


def test_nan_from_the_decoder_names_the_sample(recording: Recording) -> None:
    recording.spoil = ("vae_decoder", 1)
    with pytest.raises(EngineBadOutput, match="pictures: sample 1"):
        Pipeline(recording).render([plan(steps=1), plan(steps=1)])


def test_no_plans_give_no_pictures(engine: OnnxEngine) -> None:
    assert Pipeline(engine).render([]) == []
