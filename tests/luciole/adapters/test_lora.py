"""LoRA comes and goes without a trace, and says how far styles overlap."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from luciole.adapters.lora import (
    ATTENTION,
    CONVOLUTIONS,
    FEED_FORWARD,
    TEXT_ATTENTION,
    Factors,
    Lora,
    LoraMismatch,
    overlap,
)
from luciole.models.folder import load_conditions, load_denoiser

TARGETS = {
    "unet": [*ATTENTION, *FEED_FORWARD, *CONVOLUTIONS],
    "text_encoder": TEXT_ATTENTION,
    "text_encoder_2": TEXT_ATTENTION,
}


@pytest.fixture(scope="module")
def parts(tiny_folder: Path) -> dict[str, Any]:
    conditions = load_conditions(str(tiny_folder))
    return {
        "unet": load_denoiser(str(tiny_folder)),
        "text_encoder": conditions.text_encoder,
        "text_encoder_2": conditions.text_encoder_2,
    }


@pytest.fixture(autouse=True)
def left_as_found(parts: dict[str, Any]) -> Iterator[None]:
    before = modules(parts)
    yield
    assert modules(parts) == before


def modules(parts: dict[str, Any]) -> dict[str, int]:
    named = [(f"{key}.{n}", m) for key, part in parts.items() for n, m in part.named_modules()]
    return {name: id(module) for name, module in named}


@torch.no_grad()
def answer(parts: dict[str, Any]) -> Tensor:
    chance = torch.Generator().manual_seed(3)
    noisy = torch.randn(1, 8, 16, 16, generator=chance)
    ids = torch.arange(12)[None]
    first = parts["text_encoder"](ids, output_hidden_states=True).hidden_states[-2]
    second = parts["text_encoder_2"](ids, output_hidden_states=True)
    states = torch.cat([first, second.hidden_states[-2]], dim=-1)
    told = {"text_embeds": second.text_embeds, "time_ids": torch.ones(1, 6)}
    return parts["unet"](noisy, 5, states, added_cond_kwargs=told).sample


def shaken(lora: Lora) -> Lora:
    chance = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for _, _, up in lora.factors():
            up.copy_(0.2 * torch.randn(up.shape, generator=chance))
    return lora


def test_a_new_one_changes_nothing_and_alone_learns(parts: dict[str, Any]) -> None:
    before = answer(parts)
    lora = Lora.new(parts, TARGETS, rank=3, alpha=6.0)
    learns = [
        name for part in parts.values() for name, p in part.named_parameters() if p.requires_grad
    ]
    assert torch.equal(answer(parts), before)
    assert learns
    assert all(".lora_" in name for name in learns)
    assert len(learns) == 2 * len(lora.layers())
    lora.detach()
    assert all(p.requires_grad for part in parts.values() for p in part.parameters())


@pytest.mark.parametrize("dora", [False, True])
def test_what_was_detached_is_attached_again_exactly(parts: dict[str, Any], dora: bool) -> None:
    plain = answer(parts)
    lora = shaken(Lora.new(parts, TARGETS, rank=3, alpha=6.0, dora=dora))
    styled, layers = answer(parts), lora.layers()
    lora.detach()
    assert torch.equal(answer(parts), plain)
    assert (styled - plain).abs().max() > 1e-3
    again = Lora.of(parts, layers)
    assert torch.equal(answer(parts), styled)
    again.detach()


def test_its_effect_is_alpha_over_rank_times_up_down(parts: dict[str, Any]) -> None:
    layer = parts["unet"].mid_block.attentions[0].transformer_blocks[0].attn1.to_q
    lora = shaken(Lora.new(parts, {"unet": [r"mid_block.*attn1\.to_q"]}, rank=2, alpha=6.0))
    (path,) = lora.layers()
    learned = lora.layers()[path]
    seen = torch.randn(4, layer.in_features, generator=torch.Generator().manual_seed(1))
    wrapped = parts["unet"].mid_block.attentions[0].transformer_blocks[0].attn1.to_q
    expected = layer(seen) + 3 * seen @ learned.down.T @ learned.up.T
    assert torch.allclose(wrapped(seen), expected, atol=1e-6)
    lora.detach()


def test_two_add_up_and_leave_one_by_one(parts: dict[str, Any]) -> None:
    one = shaken(Lora.new(parts, {"unet": ATTENTION}, rank=2, alpha=2.0, name="one"))
    first = answer(parts)
    two = shaken(Lora.new(parts, {"unet": ATTENTION + FEED_FORWARD}, 2, 2.0, name="two"))
    assert not torch.equal(answer(parts), first)
    two.detach()
    assert torch.equal(answer(parts), first)
    one.detach()


def test_a_pattern_without_a_layer_is_an_error(parts: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"targets\.unet: '\.\*to_w' matches no layer"):
        Lora.new(parts, {"unet": [".*to_w"]}, rank=2, alpha=2.0)
    with pytest.raises(ValueError, match="nothing to learn"):
        Lora.new(parts, {"unet": []}, rank=2, alpha=2.0)
    with pytest.raises(ValueError, match="no such part"):
        Lora.new(parts, {"unit": [".*"]}, rank=2, alpha=2.0)


def test_a_layer_of_another_shape_is_named(parts: dict[str, Any]) -> None:
    path = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    with pytest.raises(LoraMismatch, match=r"attn1\.to_q: made for a layer of shape \[32, 640\]"):
        Lora.of(parts, {path: Factors(torch.zeros(2, 640), torch.zeros(32, 2), 2.0)})
    with pytest.raises(LoraMismatch, match="no such layer"):
        Lora.of(parts, {f"{path}x": Factors(torch.zeros(2, 32), torch.zeros(32, 2), 2.0)})


@pytest.mark.parametrize("degrees", [0, 30, 60, 90])
def test_overlap_of_single_directions_is_the_squared_cosine(
    parts: dict[str, Any], degrees: int
) -> None:
    lora = Lora.new(parts, {"unet": [r"mid_block.*attn1\.to_q"]}, rank=1, alpha=1.0)
    angle, size = math.radians(degrees), 32
    turned = torch.zeros(size)
    turned[0], turned[1] = math.cos(angle), math.sin(angle)
    with torch.no_grad():
        ((path, down, up),) = lora.factors()
        down.copy_(3 * turned[None])
        up.copy_(2 * turned[:, None])
    theirs = Factors(5 * torch.eye(size)[:1], 7 * torch.eye(size)[:, :1], 1.0)
    assert math.isclose(
        float(overlap(lora, [{path: theirs}]).detach()), math.cos(angle) ** 2, abs_tol=1e-6
    )
    lora.detach()


def test_descending_the_overlap_makes_styles_orthogonal(parts: dict[str, Any]) -> None:
    lora = shaken(Lora.new(parts, {"unet": [r"mid_block.*attn1\.to_(q|k)"]}, rank=2, alpha=2.0))
    other = {
        path: Factors(one.down + 0.3, one.up - 0.3, 2.0) for path, one in lora.layers().items()
    }
    weights = [weight for _, *pair in lora.factors() for weight in pair]
    optimizer = torch.optim.Adam(weights, lr=0.05)
    before = float(overlap(lora, [other]).detach())
    for _ in range(60):
        optimizer.zero_grad()
        overlap(lora, [other]).backward()
        optimizer.step()
    assert before > 0.3
    assert float(overlap(lora, [other]).detach()) < 0.02
    lora.detach()
