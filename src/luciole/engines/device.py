"""What torch finds here, and the style bank's copy on a GPU."""

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from luciole.compiled import Machine
from luciole.domain import EngineError

CPU = "cpu"


def gpu() -> tuple[str, str]:
    """The first GPU's name and compute capability; EngineError if torch sees none."""
    if not torch.cuda.is_available():
        raise EngineError("gpu", "torch sees no GPU on this machine")
    major, minor = torch.cuda.get_device_capability()
    return torch.cuda.get_device_name(), f"{major}.{minor}"


def torch_machine(device: str) -> Machine:
    """What AOTInductor's packages are bound to."""
    name, capability = (CPU, "") if device == CPU else gpu()
    return Machine(library="torch", version=torch.__version__, device=name, capability=capability)


class DeviceBank:
    """A bank's arrays where a graph runs; a place is copied when a step first uses it anew.

    `loads` counts how often each place was written to. The arrays may be another process's.
    """

    def __init__(
        self, arrays: Mapping[str, NDArray[Any]], loads: NDArray[np.int64], device: str
    ) -> None:
        self._arrays, self._loads = dict(arrays), loads
        self._seen = np.full_like(loads, -1)
        self._there = {
            name: torch.zeros(array.shape, dtype=torch.float32, device=device)
            for name, array in arrays.items()
        }
        self._lock = threading.Lock()

    def tensors(self, slots: NDArray[np.int64]) -> dict[str, Tensor]:
        """The whole bank, in which these places are as they should be."""
        with self._lock:
            for place in np.unique(slots):
                loads = self._loads[place]
                if self._seen[place] != loads:
                    for name, array in self._arrays.items():
                        self._there[name][int(place)].copy_(torch.from_numpy(array[place].copy()))
                    self._seen[place] = loads
        return self._there
