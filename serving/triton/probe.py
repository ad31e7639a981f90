"""Proves a running server with numbers: known inputs in, known outputs back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tritonclient.grpc as grpc
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from luciole.domain import EngineBadOutput, EngineError

TOLERANCE = 1e-3
"""Largest difference allowed, as a part of the largest expected value."""


@dataclass(frozen=True)
class Probe:
    """A small input of one model and what an independent engine makes of it."""

    model: str
    inputs: Mapping[str, NDArray[Any]]
    expected: Mapping[str, NDArray[Any]]


class Prober:
    """Runs probes against one server over its own connection."""

    def __init__(self, url: str, timeout: float) -> None:
        self._client: Any = grpc.InferenceServerClient(url)
        self._timeout = timeout

    def run(self, probe: Probe) -> None:
        """Raise EngineError when there is no answer, EngineBadOutput when it is wrong."""
        wanted = [grpc.InferRequestedOutput(name) for name in probe.expected]
        inputs = [_input(name, value) for name, value in probe.inputs.items()]
        try:
            answer = self._client.infer(
                probe.model, inputs, outputs=wanted, client_timeout=self._timeout
            )
        except InferenceServerException as error:
            raise EngineError(probe.model, f"{error.status()}: {error.message()}") from error
        for name, expected in probe.expected.items():
            _compare(f"{probe.model}.{name}", answer.as_numpy(name), expected)

    def reload(self, model: str) -> None:
        """Unload and load one model: the only cure for a dead stub, short of a restart."""
        try:
            self._client.unload_model(model, client_timeout=self._timeout)
            self._client.load_model(model, client_timeout=self._timeout)
        except InferenceServerException as error:
            raise EngineError(model, f"{error.status()}: {error.message()}") from error

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _input(name: str, value: NDArray[Any]) -> Any:
    """Describe one input; Triton's configuration knows no `[batch]`, only `[batch, 1]`."""
    rows = value.reshape(-1, 1) if value.ndim == 1 else value
    port = grpc.InferInput(name, list(rows.shape), np_to_triton_dtype(rows.dtype))
    port.set_data_from_numpy(np.ascontiguousarray(rows))
    return port


def _compare(name: str, got: NDArray[Any] | None, expected: NDArray[Any]) -> None:
    if got is None or got.shape != expected.shape:
        shape = "nothing" if got is None else f"shape {got.shape}"
        raise EngineBadOutput(name, f"expected shape {expected.shape}, got {shape}")
    limit = TOLERANCE * max(float(np.abs(expected).max()), 1e-6)
    worst = float(np.abs(got.astype(np.float64) - expected).max())
    if not worst <= limit:
        raise EngineBadOutput(name, f"differs by {worst:.3g} from the known output")
