"""Ways to compute a denoiser that do not change what it computes."""

from typing import Any

import pytest
import torch
from diffusers.utils import is_xformers_available

from luciole.models.denoiser import denoiser, prepared


def built(**way: Any) -> Any:
    torch.manual_seed(0)
    return denoiser(
        sample_size=8,
        latent_channels=4,
        block_out_channels=[16, 16],
        attention=[0, 1],
        layers_per_block=1,
        head_width=8,
        text_width=16,
        pooled_width=8,
        time_ids_width=4,
        norm_num_groups=4,
        **way,
    ).train()


def gradients(model: Any) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    told = {
        "text_embeds": torch.randn(2, 8, generator=draw),
        "time_ids": torch.full((2, 6), 64.0),
    }
    noisy, states = torch.randn(2, 4, 8, 8, generator=draw), torch.randn(2, 7, 16, generator=draw)
    model(noisy, torch.tensor([5.0, 900.0]), states, added_cond_kwargs=told).sample.sum().backward()
    return {name: weight.grad for name, weight in model.named_parameters()}


@pytest.mark.parametrize("way", [{"attention_kernel": "sdpa"}, {"gradient_checkpointing": True}])
def test_every_way_gives_the_same_gradients(way: dict[str, Any]) -> None:
    plain, other = gradients(built()), gradients(built(**way))
    for name, gradient in plain.items():
        torch.testing.assert_close(other[name], gradient, rtol=1e-3, atol=1e-3)


@pytest.mark.skipif(is_xformers_available(), reason="here it is installed")
def test_a_kernel_that_is_not_installed_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="xformers is not installed"):
        built(attention_kernel="xformers")


def test_an_unknown_kernel_is_refused_by_name() -> None:
    unknown: Any = "flash"
    with pytest.raises(ValueError, match="'flash' is none of matmul, sdpa, xformers"):
        prepared(built(), unknown, gradient_checkpointing=False)
