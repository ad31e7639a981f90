"""The supervisor's own line to its server: probes a model, reloads a model."""

from typing import Any

import numpy as np
import tritonclient.grpc as grpc
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from luciole.domain import EngineError
from serving.probe import Probe


class Prober:
    """Talks to one server over its own connection; `timeout` in seconds is for each call."""

    def __init__(self, url: str, timeout: float) -> None:
        self._client: Any = grpc.InferenceServerClient(url)
        self._timeout = timeout

    def run(self, probe: Probe) -> None:
        """Raise EngineError when there is no answer, EngineBadOutput when it is wrong."""
        wanted = [grpc.InferRequestedOutput(name) for name in probe.expected]
        inputs = [_input(name, value) for name, value in probe.inputs.items()]
        try:
            answer = self._client.infer(
                probe.graph, inputs, outputs=wanted, client_timeout=self._timeout
            )
        except InferenceServerException as error:
            raise EngineError(probe.graph, f"{error.status()}: {error.message()}") from error
        probe.judge({name: answer.as_numpy(name) for name in probe.expected})

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
