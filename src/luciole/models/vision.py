"""The image tower that teaches the text encoders, and later knows characters again."""

from typing import Any

from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from luciole.models.text import use_matmul_attention


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
