"""The moving average of weights."""

import pytest
import torch
from torch import nn

from luciole.diffusion.ema import Ema, SlowCopy


def test_it_is_the_exponential_sum_of_what_it_saw() -> None:
    layer = nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(0.0)
    ema = Ema(layer, decay=0.5)
    expected = 0.0
    for step, value in enumerate([1.0, -2.0, 4.0, 8.0]):
        layer.weight.data.fill_(value)
        ema.update()
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert ema.averages["weight"].item() == pytest.approx(expected)


def test_applied_computes_with_the_average_and_gives_the_weights_back() -> None:
    layer = nn.Linear(2, 2)
    ema = Ema(layer, decay=0.9)
    before = layer.weight.detach().clone()
    layer.weight.data.add_(1)
    with ema.applied():
        torch.testing.assert_close(layer.weight.data, before)
    torch.testing.assert_close(layer.weight.data, before + 1)


def test_frozen_weights_are_not_followed() -> None:
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    assert set(Ema(layer, 0.9).averages) == {"weight"}


def test_its_state_goes_on_where_it_was() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(2, 2)
    first, second = Ema(layer, 0.9), Ema(layer, 0.9)
    layer.weight.data.add_(1)
    first.update()
    second.load_state_dict(first.state_dict())
    layer.weight.data.add_(1)
    first.update()
    second.update()
    assert torch.equal(first.averages["weight"], second.averages["weight"])


def test_a_state_of_another_module_is_refused_by_name() -> None:
    ema = Ema(nn.Linear(2, 2), 0.9)
    with pytest.raises(ValueError, match=r"average\.gain"):
        ema.load_state_dict({**ema.state_dict(), "average.gain": torch.ones(1)})
    short = {name: value for name, value in ema.state_dict().items() if "bias" not in name}
    with pytest.raises(KeyError, match="bias"):
        ema.load_state_dict(short)


def test_a_slow_copy_answers_as_the_average_of_its_module_would() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    first, copy = layer.weight.detach().clone(), SlowCopy(layer, decay=0.75)
    layer.weight.data.add_(1)
    copy.update(layer)
    asked = torch.randn(3, 2)
    expected = torch.nn.functional.linear(asked, first + 0.25, layer.bias)
    torch.testing.assert_close(copy(layer, asked), expected)
    assert len(copy.state_dict()) == 1
    assert not any(weight.requires_grad for weight in copy.parameters())
