"""A folder with adapters draws what diffusers draws; drawn once, pictures are kept."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    ControlNetModel,
    StableDiffusionXLControlNetPipeline,
    StableDiffusionXLPipeline,
)
from PIL import Image as Pillow
from rich.progress import Progress

from evals.cache import RenderCache, key_of
from evals.checkpoint import Checkpoint, parse_all
from evals.errors import EvaluationError
from evals.painters.choice import painter_of
from evals.painters.known import KnownPictures
from evals.painters.painter import Painter, drawn, refuse_mixed
from evals.sample import Image, Sample, Settings
from luciole.adapters.control import control_net
from luciole.adapters.identity import IdentityAdapter
from luciole.bundle import Bundle
from luciole.domain import SolverName
from luciole.models.folder import load_denoiser
from luciole.models.vision import image_encoder
from tests.conftest import save_tiny_folder, save_tiny_style
from tests.ready import ready

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
SETTINGS = Settings(steps=3, guidance_scale=3.5, solver=SolverName.EULER, batch=3, threads=1)
WORDS = "red hair, walking in rain"


def colours(seed: int, side: int = 128) -> Image:
    return np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)


def painter(tiny_folder: Path, parts: str = "") -> Painter:
    return painter_of(Checkpoint.parse(f"one={tiny_folder}{parts}"), SETTINGS)


def noise(seed: int) -> torch.Tensor:
    chance = np.random.Generator(np.random.Philox(key=seed))
    return torch.from_numpy(chance.standard_normal((1, 8, 16, 16), dtype=np.float32))


def by_diffusers(pipeline: Any, seed: int, **more: Any) -> Image:
    pipeline.set_progress_bar_config(disable=True)
    found = pipeline(
        WORDS,
        latents=noise(seed),
        num_inference_steps=3,
        guidance_scale=3.5,
        height=128,
        width=128,
        output_type="np",
        **more,
    ).images[0]
    return np.round(found * 255).astype(np.uint8)


def close(ours: Image, theirs: Image) -> bool:
    return bool(np.abs(ours.astype(int) - theirs).max() <= 2)


def test_words_alone(tiny_folder: Path) -> None:
    build: Any = StableDiffusionXLPipeline
    reference = build.from_pretrained(tiny_folder)
    pictures = painter(tiny_folder).draw([Sample(WORDS, 5), Sample(WORDS, 6)])
    assert close(pictures[0], by_diffusers(reference, 5))
    assert close(pictures[1], by_diffusers(reference, 6))
    assert not close(pictures[0], pictures[1])


def test_a_style_is_called_by_its_word_and_mixed_for_each_sample(
    tiny_folder: Path, tmp_path: Path
) -> None:
    file = save_tiny_style(tiny_folder, tmp_path / "ink.safetensors", "ink", 4, seed=1)
    build: Any = StableDiffusionXLPipeline
    reference = build.from_pretrained(tiny_folder)
    reference.load_lora_weights(str(tmp_path), weight_name=file.name, adapter_name="ink")
    reference.set_adapters(["ink"], [0.5])
    ours = painter(tiny_folder, f"+style:{file}@0.5")
    sample = Sample(WORDS, 5)
    pictures = ours.draw(
        [sample, replace(sample, styles=()), replace(sample, styles=(("ink", 1),))]
    )
    global_words = f"ink style, {WORDS}"
    reference.set_progress_bar_config(disable=True)
    expected = reference(
        global_words,
        latents=noise(5),
        num_inference_steps=3,
        guidance_scale=3.5,
        output_type="np",
    ).images[0]
    assert close(pictures[0], np.round(expected * 255).astype(np.uint8))
    assert close(pictures[1], painter(tiny_folder).draw([sample])[0])
    assert not close(pictures[0], pictures[2])


def test_a_bundle_draws_over_either_runtime_and_each_has_its_own_renders(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    made = ready(tiny_bundle, tmp_path / "ready")
    one, other = (
        painter_of(Checkpoint.parse(f"a={made.path}{more}"), SETTINGS)
        for more in ("", "+runtime:openvino")
    )
    sample = Sample(WORDS, 5)
    pictures = [each.draw([sample])[0] for each in (one, other)]
    assert close(*pictures)
    recipes = [each.recipe(sample) for each in (one, other)]
    assert [recipe.pop("engine") for recipe in map(dict, recipes)] == ["onnx", "openvino"]
    for each in (one, other):
        each.close()


def test_an_identity_looks_at_its_reference(tiny_folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    eye = image_encoder(32, 8, 24, 3, 2, 32, "gelu", 20)
    eye.save_pretrained(tmp_path / "image_encoder")
    adapter = IdentityAdapter.base(load_denoiser(str(tiny_folder)), eye)
    for weight in adapter.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    adapter.save(tmp_path / "ip_adapter.safetensors", half=False, metadata={})
    ours = painter(tiny_folder, f"+identity:{tmp_path}@0.7")
    first, second = (Sample(WORDS, 5, reference=colours(seed)) for seed in (1, 2))
    pictures = ours.draw([first, second, Sample(WORDS, 5)])
    build: Any = StableDiffusionXLPipeline
    reference = build.from_pretrained(tiny_folder)
    reference.load_ip_adapter(str(tmp_path), subfolder="", weight_name="ip_adapter.safetensors")
    reference.set_ip_adapter_scale(0.7)
    reference.feature_extractor.size = {"shortest_edge": 32}
    reference.feature_extractor.crop_size = {"height": 32, "width": 32}
    shown = Pillow.fromarray(colours(1)).resize((32, 32), Pillow.Resampling.BICUBIC)
    expected = by_diffusers(reference, 5, ip_adapter_image=shown)
    assert np.abs(pictures[0].astype(int) - expected).mean() < 1
    assert not close(pictures[0], pictures[1])
    assert close(pictures[2], painter(tiny_folder).draw([Sample(WORDS, 5)])[0])


def test_a_control_follows_its_drawing(tiny_folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(2)
    control = control_net(load_denoiser(str(tiny_folder)), (8, 8, 8, 8))
    for weight in control.parameters():
        torch.nn.init.normal_(weight, std=0.05)
    control.save_pretrained(tmp_path)
    drawing = colours(3)
    ours = painter(tiny_folder, f"+pose:{tmp_path}@0.8")
    pictures = ours.draw([Sample(WORDS, 5, controls={"pose": drawing}), Sample(WORDS, 5)])
    build: Any = StableDiffusionXLControlNetPipeline
    net: Any = ControlNetModel
    reference = build.from_pretrained(tiny_folder, controlnet=net.from_pretrained(tmp_path))
    expected = by_diffusers(
        reference, 5, image=Pillow.fromarray(drawing), controlnet_conditioning_scale=0.8
    )
    assert close(pictures[0], expected)
    assert close(pictures[1], painter(tiny_folder).draw([Sample(WORDS, 5)])[0])


def test_what_was_drawn_is_kept_and_a_stopped_run_goes_on(
    tiny_folder: Path, tmp_path: Path
) -> None:
    ours, cache = painter(tiny_folder), RenderCache(tmp_path)
    samples = [Sample(WORDS, seed) for seed in range(4)]
    asked: list[int] = []
    draw = ours.draw

    def counted(some: Any) -> Any:
        asked.append(len(some))
        return draw(some)

    ours.draw = counted  # type: ignore[method-assign]
    with Progress(disable=True) as bar:
        first = drawn(ours, samples[:2], cache, 3, bar)
        every = drawn(ours, samples, cache, 3, bar)
        again = drawn(ours, samples, cache, 3, bar)
    assert asked == [2, 2]
    assert np.array_equal(first, every[:2])
    assert np.array_equal(every, again)


def test_a_damaged_render_is_named_and_refused(tmp_path: Path) -> None:
    cache, key = RenderCache(tmp_path), key_of({"a": 1})
    cache.keep(key, colours(1, 16))
    file = cache.file(key)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(EvaluationError, match=rf"{file.name}: is damaged .*delete it"):
        cache.get(key)
    Pillow.fromarray(colours(2, 16)).save(file)
    with pytest.raises(EvaluationError, match="not those that were drawn"):
        cache.get(key)


def test_whatever_changes_the_picture_changes_its_name(tiny_folder: Path) -> None:
    ours, sample = painter(tiny_folder), Sample(WORDS, 5)
    names = {
        key_of(ours.recipe(sample)),
        key_of(ours.recipe(replace(sample, seed=6))),
        key_of(ours.recipe(replace(sample, prompt="rain"))),
        key_of(painter(tiny_folder, "+steps:4").recipe(sample)),
        key_of(painter(tiny_folder, "+guidance:1").recipe(sample)),
        key_of(painter(tiny_folder, "+eta:0").recipe(sample)),
        key_of(painter(tiny_folder, "+solver:ddim").recipe(sample)),
    }
    assert len(names) == 7
    seen = replace(sample, reference=colours(1), controls={"pose": colours(2)})
    assert key_of(ours.recipe(seen)) in names  # nothing here looks at them


def test_models_of_different_kinds_are_not_compared(tiny_folder: Path, tmp_path: Path) -> None:
    import json

    other = save_tiny_folder(tmp_path / "other")
    config = other / "unet" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"sample_size": 32}))
    painters = [
        painter_of(one, SETTINGS)
        for one in parse_all([f"a={tiny_folder}", f"b={other}", "w=world"])
    ]
    with pytest.raises(EvaluationError, match="'a' and 'b' differ in resolution: 128 and 256"):
        refuse_mixed(painters)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("out/bundle", "is no checkpoint"),
        ("a=nowhere", "neither model_index.json"),
        ("a={tiny}+style:missing", "no LoRA at 'missing'"),
        ("a={tiny}+style:x@strong", "'strong' is no number"),
        ("a={tiny}+colour:red", "'colour:red' is none of"),
        ("a={tiny}+steps:few", "steps: 'few' is not a number"),
        ("a={tiny}+eta:nan", "eta: 'nan' is not a number from 0 to 1"),
        ("a={tiny}+guidance:0", "guidance: '0' is not a number from 1 to 30"),
        ("a={tiny}+solver:best", "is not one of ddim"),
        ("a={tiny}+identity:{tiny}", "ip_adapter.safetensors"),
        ("a={tiny}+pose:{tiny}", "control net is not there"),
        ("a={tiny}+triton:here:1", "triton: serves a bundle"),
        ("a={tiny}+runtime:openvino", "runtime: serves a bundle"),
        ("a={tiny}+runtime:tensorrt", "runtime: 'tensorrt' is not one of onnx, openvino"),
    ],
)
def test_what_cannot_draw_is_refused_by_name(tiny_folder: Path, text: str, told: str) -> None:
    with pytest.raises(EvaluationError, match=told):
        painter_of(Checkpoint.parse(text.format(tiny=tiny_folder)), SETTINGS)


def test_two_checkpoints_of_one_name_are_refused() -> None:
    with pytest.raises(EvaluationError, match="'a' comes twice"):
        parse_all(["a=x", "a=y"])
    with pytest.raises(EvaluationError, match="there are none"):
        parse_all([])


def test_real_renders_are_asked_for_where_there_are_some() -> None:
    known = KnownPictures("world", "real")
    sample = Sample(WORDS, 0, real=colours(1))
    assert np.array_equal(known.draw([sample])[0], colours(1))
    with pytest.raises(EvaluationError, match="has no real picture"):
        known.draw([Sample(WORDS, 0)])
