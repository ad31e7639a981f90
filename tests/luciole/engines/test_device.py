"""The bank's copy beside a graph, on a device that is at hand: the CPU."""

import numpy as np
import pytest
import torch

from luciole.bundle import BankLayer, BankSpec
from luciole.compiled import ProfileSpec
from luciole.domain import EngineError
from luciole.engines.bank import Factors, StyleBank
from luciole.engines.device import DeviceBank, torch_machine
from luciole.engines.tensorrt import fitting

SPEC = BankSpec(
    name="denoiser", rank=2, styles=2, layers=(BankLayer(path="layer", inputs=3, outputs=4),)
)


def style(value: float) -> dict[str, Factors]:
    down, up = np.full((2, 3), value, np.float32), np.full((4, 2), -value, np.float32)
    return {"layer": Factors(down, up)}


def test_a_place_is_copied_when_a_step_uses_it_anew_and_only_then() -> None:
    bank = StyleBank([SPEC], slots=3)
    resident = bank.resident("denoiser")
    there = DeviceBank(resident, bank.loads, "cpu")
    bank.load("ink", style(1))
    with bank.hold([("ink", 1.0)]) as mix:
        copied = there.tensors(mix.slots)
        for name, array in resident.items():
            assert np.array_equal(copied[name].numpy(), array)
        # What changes without being counted is not looked at: a step costs a look at its places.
        resident["bank_a"][mix.slots[0]] = 7
        assert there.tensors(mix.slots)["bank_a"].max() == 1
    bank.load("ink", style(2))
    assert there.tensors(np.array([0]))["bank_a"].max() == 1
    with bank.hold([("ink", 1.0)]) as mix:
        assert there.tensors(mix.slots)["bank_a"].max() == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_machine_without_gpu_is_named() -> None:
    assert torch_machine("cpu").device == "cpu"
    with pytest.raises(EngineError, match="gpu: torch sees no GPU"):
        torch_machine("cuda")


@pytest.mark.parametrize(
    ("batch", "side", "profile"), [(1, 16, 0), (4, 16, 0), (2, 8, 1), (4, 32, 1), (5, 16, None)]
)
def test_the_first_profile_that_takes_the_shapes_is_used(
    batch: int, side: int, profile: int | None
) -> None:
    own = {"latents": ((1, 4, 16), (2, 4, 16), (4, 4, 16))}
    whole = {"latents": ((1, 4, 8), (2, 4, 16), (4, 4, 32))}
    made = [ProfileSpec(name=name, shapes=s) for name, s in (("own", own), ("any", whole))]
    assert fitting(made, {"latents": (batch, 4, side)}) == profile
