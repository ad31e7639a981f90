"""Reads a diffusers folder of SDXL's architecture."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from export.streamed import streamed
from luciole.domain import LucioleError

PIPELINE = "StableDiffusionXLPipeline"
REQUIRED = (
    "model_index.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model*.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model*.safetensors",
    "text_encoder/config.json",
    "text_encoder/model*.safetensors",
    "text_encoder_2/config.json",
    "text_encoder_2/model*.safetensors",
    "tokenizer/tokenizer*.json",
    "tokenizer_2/tokenizer*.json",
    "scheduler/scheduler_config.json",
)
PARTS: tuple[tuple[str, Any, str], ...] = (
    ("unet", UNet2DConditionModel, "torch_dtype"),
    ("vae", AutoencoderKL, "torch_dtype"),
    ("text_encoder", CLIPTextModel, "dtype"),
    ("text_encoder_2", CLIPTextModelWithProjection, "dtype"),
)
"""Folder, class, and what its library calls the type to load weights as."""


class ModelFolderError(LucioleError):
    """The folder is not a diffusers folder of SDXL's architecture; `field` is the file."""

    code = "invalid_model_folder"


@dataclass(frozen=True)
class ModelFolder:
    """The parts of a model, in fp32 whatever the files hold, ready for inference."""

    path: Path
    unet: Any
    vae: Any
    text_encoders: tuple[Any, Any]
    tokenizers: tuple[Any, Any]
    scheduler: dict[str, Any]
    zeros_for_empty_negative: bool

    @property
    def latent_stride(self) -> int:
        """Pixels to a latent, along an edge."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def latent_size(self) -> int:
        """Edge of the latents that the denoiser was made for."""
        return int(self.unet.config.sample_size)

    @property
    def latent_multiple(self) -> int:
        """The denoiser halves its latents once less than it has levels."""
        return int(2 ** (len(self.unet.config.block_out_channels) - 1))

    @property
    def window(self) -> int:
        """Tokens that the text encoders take at a time."""
        return int(self.text_encoders[0].config.max_position_embeddings)


def load_folder(path: Path, stream: bool = False) -> ModelFolder:
    """ModelFolderError names the first file that is missing or not SDXL's.

    With `stream` weights stay in their files until a graph is written.
    """
    check_folder(path)
    index = json.loads((path / "model_index.json").read_text())
    unet, vae, first, second = (
        _streamed(path / name, part) if stream else _loaded(path / name, part, dtype)
        for name, part, dtype in PARTS
    )
    _check_parts(unet.config, vae.config)
    tokenizers = [CLIPTokenizer.from_pretrained(path / f"tokenizer{n}") for n in ("", "_2")]
    return ModelFolder(
        path,
        unet,
        vae,
        (first, second),
        (tokenizers[0], tokenizers[1]),
        _scheduler_config(path, index["scheduler"][1]),
        bool(index.get("force_zeros_for_empty_prompt", True)),
    )


def _loaded(path: Path, part: Any, dtype: str) -> Any:
    return part.from_pretrained(path, **{dtype: torch.float32}).eval().requires_grad_(False)


def _streamed(path: Path, part: Any) -> Any:
    def build() -> Any:
        if hasattr(part, "load_config"):
            return part.from_config(part.load_config(path))
        return part(part.config_class.from_pretrained(path))

    return streamed(build, path).eval()


def check_folder(path: Path) -> None:
    """ModelFolderError unless every file is there and the index names SDXL's pipeline."""
    for pattern in REQUIRED:
        if not any(path.glob(pattern)):
            raise ModelFolderError(pattern, f"is missing in {path}; expected a diffusers folder")
    name = json.loads((path / "model_index.json").read_text()).get("_class_name")
    if name != PIPELINE:
        raise ModelFolderError("model_index.json", f"is of a {name}, expected a {PIPELINE}")


def _scheduler_config(path: Path, class_name: str) -> dict[str, Any]:
    """The saved settings with that scheduler's own defaults for those left unsaid."""
    import diffusers

    scheduler_class = getattr(diffusers, class_name, None)
    if scheduler_class is None:
        raise ModelFolderError("model_index.json", f"names an unknown scheduler {class_name!r}")
    config = scheduler_class.from_pretrained(path / "scheduler").config
    return {key: value for key, value in config.items() if not key.startswith("_")}


def _check_parts(unet: Any, vae: Any) -> None:
    if unet.addition_embed_type != "text_time":
        raise ModelFolderError("unet/config.json", "lacks SDXL's addition_embed_type 'text_time'")
    if unet.time_cond_proj_dim is not None:
        raise ModelFolderError("unet/config.json", "time_cond_proj_dim is not supported")
    if unet.in_channels != vae.latent_channels:
        raise ModelFolderError(
            "vae/config.json",
            f"has {vae.latent_channels} latent channels, the denoiser takes {unet.in_channels}",
        )
    if getattr(vae, "latents_mean", None) is not None:
        raise ModelFolderError("vae/config.json", "latents_mean is not supported")
