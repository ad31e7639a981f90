"""Control nets beside diffusers' own."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ControlNetModel, StableDiffusionXLControlNetPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from luciole.adapters.control import Controlled, control_net, load_control

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
EMBEDDING = (4, 4, 8, 8)


@pytest.fixture(scope="module")
def unet(tiny_folder: Path) -> Any:
    model: Any = UNet2DConditionModel
    return model.from_pretrained(tiny_folder / "unet").eval().requires_grad_(False)


def trained(unet: Any, words: bool) -> Any:
    """Of weights that say something."""
    torch.manual_seed(2)
    net = control_net(unet, EMBEDDING, words).eval()
    for name, weight in net.named_parameters():
        if name.startswith("controlnet_"):
            torch.nn.init.normal_(weight, std=0.2)
    return net.requires_grad_(False)


def answer(denoiser: Any) -> Tensor:
    torch.manual_seed(3)
    told = {"text_embeds": torch.randn(2, 32), "time_ids": torch.full((2, 6), 64.0)}
    noisy, states = torch.randn(2, 8, 8, 8), torch.randn(2, 7, 64)
    said: Tensor = denoiser(noisy, torch.tensor([5, 700]), states, added_cond_kwargs=told).sample
    return said


@pytest.mark.parametrize("words", [True, False])
def test_untrained_it_changes_nothing(unet: Any, words: bool) -> None:
    drawings = torch.rand(2, 3, 64, 64)
    silent = Controlled(unet, control_net(unet, EMBEDDING, words), drawings)
    assert torch.equal(answer(silent), answer(unet))
    loud = Controlled(unet, trained(unet, words), drawings)
    assert (answer(loud) - answer(unet)).abs().max() > 1e-3
    assert torch.equal(answer(Controlled(unet, loud.control, drawings, scale=0.0)), answer(unet))


def test_without_words_it_is_a_smaller_copy_that_begins_with_the_same_weights(unet: Any) -> None:
    whole, part = (control_net(unet, EMBEDDING, words).state_dict() for words in (True, False))
    assert set(part) < set(whole)
    assert not any("attentions" in name or "add_embedding" in name for name in part)
    theirs = unet.state_dict()
    for name in part:
        if not name.startswith("controlnet_"):
            assert torch.equal(part[name], theirs[name])


@pytest.mark.parametrize("words", [True, False])
def test_diffusers_pipeline_draws_from_the_written_folder_what_we_draw(
    unet: Any, words: bool, tiny_folder: Path, tmp_path: Path
) -> None:
    control = trained(unet, words)
    control.save_pretrained(tmp_path)
    net: Any = ControlNetModel
    build: Any = StableDiffusionXLControlNetPipeline
    pipe = build.from_pretrained(
        tiny_folder, controlnet=net.from_pretrained(tmp_path), add_watermarker=False
    )
    pipe.set_progress_bar_config(disable=True)
    drawing = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(4))
    size: dict[str, Any] = {"width": 64, "height": 64}
    noise = torch.randn(1, 8, 8, 8, generator=torch.Generator().manual_seed(5))
    theirs = pipe(
        "a girl",
        image=drawing,
        latents=noise,
        num_inference_steps=3,
        guidance_scale=4.0,
        output_type="latent",
        **size,
    ).images
    states, negative, pooled, negative_pooled = pipe.encode_prompt("a girl", device="cpu")
    told = {
        "text_embeds": torch.cat([negative_pooled, pooled]),
        "time_ids": torch.tensor([[64.0, 64, 0, 0, 64, 64]] * 2),
    }
    ours = Controlled(unet, control, drawing.repeat(2, 1, 1, 1))
    pipe.scheduler.set_timesteps(3)
    latents = noise * pipe.scheduler.init_noise_sigma
    for timestep in pipe.scheduler.timesteps:
        scaled = pipe.scheduler.scale_model_input(latents.repeat(2, 1, 1, 1), timestep)
        with torch.no_grad():
            said = ours(scaled, timestep, torch.cat([negative, states]), told).sample
        without, with_words = said.chunk(2)
        guided = without + 4.0 * (with_words - without)
        latents = pipe.scheduler.step(guided, timestep, latents).prev_sample
    torch.testing.assert_close(latents, theirs, atol=1e-4, rtol=1e-4)


def test_a_folder_comes_back_as_it_was(unet: Any, tmp_path: Path) -> None:
    control = trained(unet, words=False)
    control.save_pretrained(tmp_path)
    again = load_control(str(tmp_path), unet).state_dict()
    assert all(torch.equal(weight, again[name]) for name, weight in control.state_dict().items())


def test_a_missing_extra_or_foreign_key_is_named(unet: Any, tmp_path: Path) -> None:
    trained(unet, words=False).save_pretrained(tmp_path)
    file = tmp_path / "diffusion_pytorch_model.safetensors"
    good, key = load_file(file), "controlnet_mid_block.weight"
    for broken in (
        {name: weight for name, weight in good.items() if name != key},
        {**good, "down_blocks.7.weight": torch.zeros(1)},
        {**good, key: good[key][:4].clone()},
    ):
        save_file(broken, file, metadata={"format": "pt"})
        names = "down_blocks.7" if len(broken) > len(good) else key
        with pytest.raises(ValueError, match=names) as caught:
            load_control(str(tmp_path), unet)
        assert str(tmp_path) in str(caught.value)


def test_one_for_another_architecture_is_refused(
    unet: Any, tiny_folder: Path, tmp_path: Path
) -> None:
    config = json.loads((tiny_folder / "unet" / "config.json").read_text())
    model: Any = UNet2DConditionModel
    other = model.from_config({**config, "block_out_channels": [16, 32, 48]})
    control_net(other, EMBEDDING, words=False).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="another architecture"):
        load_control(str(tmp_path), unet)
    with pytest.raises(FileNotFoundError, match="not there"):
        load_control(str(tmp_path / "none"), unet)
