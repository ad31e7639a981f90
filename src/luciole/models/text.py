"""SDXL's two text encoders: their hidden states side by side, the second one's summary beside."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from luciole.models.tokenizer import WINDOW


def text_encoder(
    tokenizer: Any,
    width: int,
    layers: int,
    heads: int,
    feed_forward: int,
    activation: str,
    projected: bool,
) -> Any:
    """CLIPTextModel, or with `projected` CLIPTextModelWithProjection to the same width."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=feed_forward,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        projection_dim=width,
        max_position_embeddings=WINDOW,
        hidden_act=activation,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model: Any = (CLIPTextModelWithProjection if projected else CLIPTextModel)(config)
    return use_matmul_attention(model)


def use_matmul_attention(model: Any) -> Any:
    """On a CPU with bf16 units the fused kernel's backward takes twice the whole model's time."""
    model.set_attn_implementation("eager")
    return model


class TextConditions(nn.Module):
    """What the denoiser is told: as SDXL does, the last layer but one of both encoders."""

    def __init__(
        self, tokenizer: Any, tokenizer_2: Any, text_encoder: nn.Module, text_encoder_2: nn.Module
    ) -> None:
        super().__init__()
        self.tokenizers = (tokenizer, tokenizer_2)
        self.text_encoder, self.text_encoder_2 = text_encoder, text_encoder_2

    def learn(self) -> None:
        """Let all weights train that are read: the first encoder's last layer is not."""
        self.train().requires_grad_(True)
        first: Any = self.text_encoder
        for unread in (first.encoder.layers[-1], first.final_layer_norm):
            unread.requires_grad_(False)

    def ids(self, captions: Sequence[str]) -> tuple[Int64[Tensor, "n t"], Int64[Tensor, "n t"]]:
        """One window a caption; what does not fit is left out."""
        first, second = (
            tokenizer(
                list(captions),
                padding="max_length",
                truncation=True,
                max_length=WINDOW,
                return_tensors="pt",
            ).input_ids
            for tokenizer in self.tokenizers
        )
        return first, second

    def forward(
        self, captions: Sequence[str]
    ) -> tuple[Float[Tensor, "n t d"], Float[Tensor, "n p"]]:
        """States of width D1 + D2 and the pooled summary."""
        device = next(self.parameters()).device
        ids, ids_2 = (part.to(device) for part in self.ids(captions))
        first = self.text_encoder(ids, output_hidden_states=True)
        second = self.text_encoder_2(ids_2, output_hidden_states=True)
        states = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)
        return states, second.text_embeds
