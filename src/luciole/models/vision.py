"""The image tower that teaches the text encoders, and later knows characters again."""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from luciole.models.text import use_matmul_attention

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of CLIP's training pixels in 0..1, by channel (arXiv:2103.00020)."""


def image_encoder(
    image_size: int,
    patch_size: int,
    width: int,
    layers: int,
    heads: int,
    feed_forward: int,
    activation: str,
    projection: int,
) -> Any:
    """CLIP's vision transformer over pixels in -1..1."""
    config = CLIPVisionConfig(
        image_size=image_size,
        patch_size=patch_size,
        hidden_size=width,
        intermediate_size=feed_forward,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        projection_dim=projection,
        hidden_act=activation,
    )
    return use_matmul_attention(CLIPVisionModelWithProjection(config))


def load_image_encoder(folder: str) -> Any:
    """A CLIP vision tower over pixels as CLIP normalises them, in fp32."""
    if not (Path(folder) / "config.json").exists():
        raise FileNotFoundError(f"{folder}: the image encoder is not there")
    build: Any = CLIPVisionModelWithProjection
    return use_matmul_attention(build.from_pretrained(folder, dtype=torch.float32))


def clip_pixels(pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """From -1..1 to what CLIP's published towers expect."""
    mean, std = (torch.tensor(values, device=pictures.device) for values in (MEAN, STD))
    return ((pictures + 1) / 2 - mean[:, None, None]) / std[:, None, None]


@torch.no_grad()
def over_clip_pixels(encoder: Any) -> Any:
    """The same tower, changed in place to take `clip_pixels` in place of pixels in -1..1.

    The scale goes into the patches' convolution, the shift into the patches' positions. Any tool
    that knows CLIP's normalisation can then use it, and no other needs to be told.
    """
    embeddings = encoder.vision_model.embeddings
    weight = embeddings.patch_embedding.weight
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    shift = (weight * (2 * mean - 1)).sum(dim=(1, 2, 3))
    embeddings.position_embedding.weight[1:] += shift
    weight *= 2 * std
    return encoder
