"""LoRA files work elsewhere as they do here, come back exactly, and refuse what does not fit."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from luciole.adapters.kohya_names import kohya_name
from luciole.adapters.lora import (
    ATTENTION,
    CONVOLUTIONS,
    FEED_FORWARD,
    TEXT_ATTENTION,
    Layers,
    Lora,
    LoraMismatch,
)
from luciole.adapters.lora_file import (
    LoraCard,
    read_lora,
    weights_hash,
    write_kohya,
    write_peft,
)
from luciole.models.folder import load_pipeline

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TARGETS = {
    "unet": [
        *ATTENTION,
        *FEED_FORWARD,
        *CONVOLUTIONS,
        r".*\.proj_(in|out)",
        r".*\.time_emb_proj",
        r".*\.(down|up)samplers\.0\.conv",
        r".*\.conv_shortcut",
    ],
    "text_encoder": TEXT_ATTENTION,
    "text_encoder_2": [*TEXT_ATTENTION, r".*\.mlp\.fc\d"],
}
CARD = LoraCard(
    name="ink",
    trigger="ink style",
    licence="Apache-2.0",
    tags=("style", "ink"),
    base_hash="0123456789abcdef",
    architecture="stable-diffusion-xl-v1-base/lora",
    base_version="sdxl_base_v1-0",
    command="python -m training experiment=pocket_style_ink",
    resolution=128,
    steps=400,
    rate=1e-3,
    seed=7,
    prediction_type="v_prediction",
    date="2026-01-01T00:00:00Z",
)
Write = Callable[[Path, Layers], None]


def kohya(file: Path, layers: Layers) -> None:
    write_kohya(file, layers, CARD, layers_per_block=1)


def peft(file: Path, layers: Layers) -> None:
    write_peft(file, layers, CARD)


@pytest.fixture
def pipeline(tiny_folder: Path) -> Any:
    parts = load_pipeline(str(tiny_folder))
    parts.set_progress_bar_config(disable=True)
    return parts


def parts_of(pipeline: Any) -> dict[str, Any]:
    return {key: getattr(pipeline, key) for key in ("unet", "text_encoder", "text_encoder_2")}


def learned(parts: dict[str, Any], dora: bool = False, **targets: Any) -> Layers:
    """Random layers of rank 3 that fp16 holds exactly."""
    lora = Lora.new(parts, targets or TARGETS, rank=3, alpha=6.0, dora=dora)
    chance = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for _, down, up in lora.factors():
            down.copy_((down.half()).float())
            up.copy_((0.1 * torch.randn(up.shape, generator=chance)).half().float())
    layers = lora.layers()
    lora.detach()
    return layers


@torch.no_grad()
def picture(pipeline: Any) -> Tensor:
    """One step of the whole pipeline: text encoders and denoiser, as latents."""
    chance = torch.Generator().manual_seed(5)
    call = {"num_inference_steps": 1, "width": 64, "height": 64, "output_type": "latent"}
    return pipeline("a girl walking in rain", generator=chance, **call).images


@pytest.mark.parametrize("write", [peft, kohya])
def test_diffusers_loads_it_with_the_same_effect(
    write: Write, pipeline: Any, tiny_folder: Path, tmp_path: Path
) -> None:
    layers = learned(parts_of(pipeline))
    write(tmp_path / "ink.safetensors", layers)
    plain = picture(pipeline)
    Lora.of(parts_of(pipeline), layers)
    ours = picture(pipeline)
    other = load_pipeline(str(tiny_folder))
    other.set_progress_bar_config(disable=True)
    other.load_lora_weights(str(tmp_path), weight_name="ink.safetensors")
    assert (ours - plain).abs().max() > 1e-2
    assert (picture(other) - ours).abs().max() < 1e-5


def test_diffusers_loads_doras_magnitudes(pipeline: Any, tiny_folder: Path, tmp_path: Path) -> None:
    layers = learned(parts_of(pipeline), dora=True, unet=ATTENTION)
    peft(tmp_path / "ink.safetensors", layers)
    stored = read_lora(tmp_path / "ink.safetensors", parts_of(pipeline))
    Lora.of(parts_of(pipeline), stored)
    other = load_pipeline(str(tiny_folder))
    other.set_progress_bar_config(disable=True)
    other.load_lora_weights(str(tmp_path), weight_name="ink.safetensors")
    assert (picture(other) - picture(pipeline)).abs().max() < 1e-5


@pytest.mark.parametrize("write", [peft, kohya])
@pytest.mark.parametrize("dora", [False, True])
def test_what_is_read_is_what_was_written(
    write: Write, dora: bool, pipeline: Any, tmp_path: Path
) -> None:
    parts = parts_of(pipeline)
    layers = learned(parts, dora)
    write(tmp_path / "ink.safetensors", layers)
    again = read_lora(tmp_path / "ink.safetensors", parts)
    assert set(again) == set(layers)
    for path, one in layers.items():
        assert again[path].alpha == one.alpha
        assert torch.equal(again[path].down, one.down), path
        assert torch.equal(again[path].up, one.up), path
        if one.magnitude is not None:
            assert torch.equal(
                again[path].magnitude.flatten(), one.magnitude.half().float().flatten()
            )


@pytest.mark.parametrize("write", [peft, kohya])
def test_the_header_says_what_it_is(write: Write, pipeline: Any, tmp_path: Path) -> None:
    file = tmp_path / "ink.safetensors"
    write(file, learned(parts_of(pipeline)))
    with safe_open(file, "pt") as stored:
        told = stored.metadata()
    assert told["trigger"] == told["modelspec.trigger_phrase"] == "ink style"
    assert told["licence"] == told["modelspec.license"] == "Apache-2.0"
    assert told["base_hash"] == "0123456789abcdef"
    assert (told["ss_network_dim"], told["ss_network_alpha"]) == ("3", "6.0")
    assert told["ss_base_model_version"] == "sdxl_base_v1-0"
    assert told["modelspec.architecture"] == "stable-diffusion-xl-v1-base/lora"
    raw = file.read_bytes()
    content = raw[8 + int.from_bytes(raw[:8], "little") :]
    assert told["modelspec.hash_sha256"] == f"0x{hashlib.sha256(content).hexdigest()}"


def test_names_are_those_of_the_first_sdxl() -> None:
    named = {
        "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q": (
            "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q"
        ),
        "unet.up_blocks.1.attentions.2.proj_in": "lora_unet_output_blocks_5_1_proj_in",
        "unet.mid_block.attentions.0.proj_out": "lora_unet_middle_block_1_proj_out",
        "unet.mid_block.resnets.1.conv1": "lora_unet_middle_block_2_in_layers_2",
        "unet.down_blocks.0.downsamplers.0.conv": "lora_unet_input_blocks_3_0_op",
        "text_encoder.encoder.layers.0.self_attn.q_proj": (
            "lora_te1_text_model_encoder_layers_0_self_attn_q_proj"
        ),
    }
    assert {path: kohya_name(path, layers_per_block=2) for path in named} == named


def test_kohyas_files_with_diffusers_names_are_read_too(pipeline: Any, tmp_path: Path) -> None:
    parts, file = parts_of(pipeline), tmp_path / "foreign.safetensors"
    name = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
    tensors = {f"{name}.lora_down.weight": torch.ones(2, 32)}
    tensors[f"{name}.lora_up.weight"] = torch.ones(32, 2)
    save_file(tensors, file)
    (path,) = read_lora(file, parts)
    assert path == "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"


def spoil_missing(tensors: dict[str, Tensor]) -> str:
    key = next(key for key in tensors if key.endswith(("lora_B.weight", "lora_up.weight")))
    del tensors[key]
    return "the file has no"


def spoil_extra(tensors: dict[str, Tensor]) -> str:
    key = next(iter(tensors))
    tensors[f"{key.split('.lora')[0]}.lora_mid.weight"] = torch.zeros(1)
    return "lora_mid"


def spoil_name(tensors: dict[str, Tensor]) -> str:
    for key in [key for key in tensors if "to_q" in key]:
        tensors[key.replace("to_q", "to_w")] = tensors.pop(key)
    return "to_w"


def spoil_shape(tensors: dict[str, Tensor]) -> str:
    key = next(key for key in tensors if key.endswith("lora_A.weight") or "lora_down" in key)
    tensors[key] = torch.zeros(3, 5)
    return "made for a layer of shape"


@pytest.mark.parametrize("write", [peft, kohya])
@pytest.mark.parametrize("spoil", [spoil_missing, spoil_extra, spoil_name, spoil_shape])
def test_a_file_that_does_not_fit_is_refused_by_name(
    write: Write, spoil: Callable[[dict[str, Tensor]], str], pipeline: Any, tmp_path: Path
) -> None:
    parts, file = parts_of(pipeline), tmp_path / "ink.safetensors"
    write(file, learned(parts, unet=ATTENTION))
    tensors = load_file(file)
    told = spoil(tensors)
    save_file(tensors, file)
    with pytest.raises(LoraMismatch, match=told) as refused:
        read_lora(file, parts)
    assert "ink.safetensors" in str(refused.value)


def test_a_file_for_other_weights_is_refused(pipeline: Any, tmp_path: Path) -> None:
    parts, file = parts_of(pipeline), tmp_path / "ink.safetensors"
    peft(file, learned(parts, unet=ATTENTION))
    assert read_lora(file, parts, CARD.base_hash)
    with pytest.raises(LoraMismatch, match="trained on weights 0123456789abcdef"):
        read_lora(file, parts, weights_hash(parts["unet"]))
    file.write_bytes(b"")
    with pytest.raises(LoraMismatch, match="not a safetensors file"):
        read_lora(file, parts)


def test_storing_a_model_in_fp16_keeps_its_hash(pipeline: Any) -> None:
    before = weights_hash(pipeline.unet)
    assert weights_hash(pipeline.unet.half().float()) == before
    with torch.no_grad():
        pipeline.unet.conv_in.weight[0, 0, 0, 0] += 1
    assert weights_hash(pipeline.unet) != before
