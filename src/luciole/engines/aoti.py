"""Runs what AOTInductor compiled."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from torch._inductor import aoti_load_package


class AotiGraph:
    """One package; safe to call from several threads, one at a time."""

    def __init__(self, file: Path, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        load: Any = aoti_load_package
        self._package, self._inputs, self._outputs = load(str(file)), inputs, outputs

    def run(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs by name, on the device of the inputs."""
        found = self._package(*(given[name] for name in self._inputs))
        return dict(zip(self._outputs, found, strict=True))
