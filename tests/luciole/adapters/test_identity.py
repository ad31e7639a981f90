"""IP-Adapters beside diffusers' own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from luciole.adapters.identity import IdentityAdapter
from luciole.models.vision import clip_pixels, image_encoder, load_image_encoder, over_clip_pixels

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
KINDS = ("base", "plus")


@pytest.fixture(scope="module")
def eye() -> Any:
    torch.manual_seed(1)
    model = image_encoder(32, 8, 24, 3, 2, 32, "gelu", 20).eval()
    for part in model.parameters():
        torch.nn.init.normal_(part, std=0.2)
    return model.requires_grad_(False)


def denoiser(folder: Path) -> Any:
    model: Any = UNet2DConditionModel
    return model.from_pretrained(folder / "unet").eval().requires_grad_(False)


def adapter_of(kind: str, unet: Any, eye: Any) -> IdentityAdapter:
    """Of random weights, so that every one of them matters."""
    torch.manual_seed(2)
    if kind == "base":
        adapter = IdentityAdapter.base(unet, eye)
    else:
        adapter = IdentityAdapter.plus(unet, eye, tokens=3, width=64)
    for weight in adapter.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return adapter


def answer(unet: Any, embeds: Tensor | None = None) -> Tensor:
    torch.manual_seed(3)
    told = {"text_embeds": torch.randn(2, 32), "time_ids": torch.full((2, 6), 128.0)}
    if embeds is not None:
        told["image_embeds"] = [embeds]  # type: ignore[assignment]
    noisy, states = torch.randn(2, 8, 8, 8), torch.randn(2, 7, 64)
    said: Tensor = unet(noisy, torch.tensor([5, 700]), states, added_cond_kwargs=told).sample
    return said


def embeds_of(adapter: IdentityAdapter, eye: Any) -> Tensor:
    torch.manual_seed(4)
    return adapter.look(eye, torch.randn(2, 3, 32, 32), torch.tensor([True, False]))


@pytest.mark.parametrize("kind", KINDS)
def test_diffusers_runs_the_written_file_as_we_do(
    kind: str, tiny_folder: Path, eye: Any, tmp_path: Path
) -> None:
    ours, theirs = denoiser(tiny_folder), denoiser(tiny_folder)
    adapter = adapter_of(kind, ours, eye)
    embeds = embeds_of(adapter, eye)
    plain = answer(ours)
    adapter.attach(ours)
    adapter.save(tmp_path / "ip.safetensors", half=False, metadata={})
    build: Any = StableDiffusionXLPipeline
    pipe = build.from_pretrained(tiny_folder, unet=theirs)
    eye.save_pretrained(tmp_path / "image_encoder")
    pipe.load_ip_adapter(str(tmp_path), subfolder="", weight_name="ip.safetensors")
    expected = answer(theirs, embeds)
    torch.testing.assert_close(answer(ours, embeds), expected, atol=1e-5, rtol=0)
    assert (expected - plain).abs().max() > 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_diffusers_pipeline_looks_at_a_picture_as_we_do(
    kind: str, tiny_folder: Path, eye: Any, tmp_path: Path
) -> None:
    adapter = adapter_of(kind, denoiser(tiny_folder), eye)
    adapter.save(tmp_path / "ip.safetensors", half=False, metadata={})
    eye.save_pretrained(tmp_path / "image_encoder")
    build: Any = StableDiffusionXLPipeline
    pipe = build.from_pretrained(tiny_folder)
    pipe.load_ip_adapter(str(tmp_path), subfolder="", weight_name="ip.safetensors")
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    embeds = pipe.prepare_ip_adapter_image_embeds(
        [Image.fromarray(pixels)], None, torch.device("cpu"), 1, True
    )[0]
    picture = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1
    mine = [
        adapter.look(eye, clip_pixels(picture), torch.tensor([shown])) for shown in (False, True)
    ]
    torch.testing.assert_close(torch.cat(mine), embeds, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_comes_back_as_it_was(
    kind: str, tiny_folder: Path, eye: Any, tmp_path: Path
) -> None:
    unet = denoiser(tiny_folder)
    adapter = adapter_of(kind, unet, eye)
    adapter.save(tmp_path / "ip.safetensors", half=False, metadata={"licence": "Apache-2.0"})
    again = IdentityAdapter.load(tmp_path / "ip.safetensors", unet).layout()
    assert all(torch.equal(weight, again[name]) for name, weight in adapter.layout().items())


@pytest.mark.parametrize("kind", KINDS)
def test_detached_the_denoiser_is_the_very_same(kind: str, tiny_folder: Path, eye: Any) -> None:
    unet = denoiser(tiny_folder)
    before, names = answer(unet), list(unet.state_dict())
    adapter = adapter_of(kind, unet, eye)
    adapter.attach(unet)
    changed = answer(unet, embeds_of(adapter, eye))
    assert not torch.equal(changed, before)
    adapter.set_scale(0.0)
    assert torch.equal(answer(unet, embeds_of(adapter, eye)), before)
    adapter.set_scale(1.0)
    adapter.detach()
    assert torch.equal(answer(unet), before)
    assert list(unet.state_dict()) == names
    adapter.attach(unet)
    assert torch.equal(answer(unet, embeds_of(adapter, eye)), changed)


@pytest.mark.parametrize("kind", KINDS)
def test_untrained_it_changes_nothing(kind: str, tiny_folder: Path, eye: Any) -> None:
    unet = denoiser(tiny_folder)
    before = answer(unet)
    if kind == "base":
        adapter = IdentityAdapter.base(unet, eye)
    else:
        adapter = IdentityAdapter.plus(unet, eye, tokens=3, width=64)
    adapter.attach(unet)
    torch.testing.assert_close(answer(unet, embeds_of(adapter, eye)), before, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_all_its_weights_learn(kind: str, tiny_folder: Path, eye: Any) -> None:
    unet = denoiser(tiny_folder)
    adapter = adapter_of(kind, unet, eye)
    adapter.attach(unet)
    answer(unet, embeds_of(adapter, eye)).square().mean().backward()  # type: ignore[no-untyped-call]
    still = [n for n, p in adapter.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def test_a_second_one_is_refused(tiny_folder: Path, eye: Any) -> None:
    unet = denoiser(tiny_folder)
    first, second = (adapter_of("base", unet, eye) for _ in range(2))
    first.attach(unet)
    with pytest.raises(ValueError, match="detach it first"):
        second.attach(unet)
    with pytest.raises(ValueError, match="IPAdapterAttnProcessor"):
        adapter_of("base", unet, eye)


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_extra_or_foreign_key_is_named(
    kind: str, tiny_folder: Path, eye: Any, tmp_path: Path
) -> None:
    unet = denoiser(tiny_folder)
    file = tmp_path / "ip.safetensors"
    adapter_of(kind, unet, eye).save(file, half=True, metadata={})
    good = load_file(file)
    key = "ip_adapter.3.to_v_ip.weight"
    for broken, message in (
        ({name: weight for name, weight in good.items() if name != key}, f"{key} is missing"),
        ({**good, "ip_adapter.9.to_k_ip.weight": good[key].clone()}, "ip_adapter.9.to_k_ip"),
        ({**good, key: good[key][:, :8].clone()}, f"{key} is .*another architecture"),
    ):
        save_file(broken, file)
        with pytest.raises(ValueError, match=message) as caught:
            IdentityAdapter.load(file, unet)
        assert str(file) in str(caught.value)


def test_another_file_is_no_adapter(tiny_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "lora.safetensors"
    save_file({"unet.lora_A.weight": torch.zeros(1)}, file)
    with pytest.raises(ValueError, match="image_proj"):
        IdentityAdapter.load(file, denoiser(tiny_folder))


def test_clips_normalisation_can_move_into_the_weights(eye: Any, tmp_path: Path) -> None:
    torch.manual_seed(5)
    picture = torch.rand(2, 3, 32, 32) * 2 - 1
    eye.save_pretrained(tmp_path)
    moved = over_clip_pixels(load_image_encoder(str(tmp_path)))
    expected, got = eye(picture).image_embeds, moved.eval()(clip_pixels(picture)).image_embeds
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)
