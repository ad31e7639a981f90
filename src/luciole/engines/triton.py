"""The remote engine: a Triton server with one model per graph."""

from collections.abc import Mapping
from typing import Any

import tritonclient.grpc as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from luciole.bundle import Bundle
from luciole.domain import EngineError
from luciole.engines.bank import StyleBank
from luciole.engines.protocol import checked_inputs, graph_spec

UNREACHABLE = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")
MAX_MESSAGE_BYTES = 2**31 - 1


class TritonEngine:
    """Calls a Triton server over gRPC; `url` is host:port, `timeout_s` is for one call.

    Nothing is connected until the first call. NaN is left for the denoise loop to find.
    """

    def __init__(
        self, bundle: Bundle, url: str, timeout_s: float = 60.0, bank: StyleBank | None = None
    ) -> None:
        """`bank`: the one whose files the server has mapped; None serves no styles."""
        self._bundle, self.bank = bundle, bank
        self._url = url
        self._timeout_s = timeout_s
        self._client = triton.InferenceServerClient(
            url,
            channel_args=[
                ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                # A restarted server is found again at once, not after gRPC's two minutes.
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 1000),
            ],
        )

    @property
    def bundle(self) -> Bundle:
        """The model that the server is expected to hold."""
        return self._bundle

    def run(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs by name; EngineError says whether the server was out of reach or refused."""
        feed = checked_inputs(self._bundle, graph, inputs)
        names = [tensor.name for tensor in graph_spec(self._bundle, graph).outputs]
        try:
            answer = self._client.infer(
                graph,
                [_tensor(name, value) for name, value in feed.items()],
                outputs=[triton.InferRequestedOutput(name) for name in names],
                client_timeout=self._timeout_s,
            )
        except InferenceServerException as error:
            raise self._typed(graph, error) from error
        outputs = {name: answer.as_numpy(name) for name in names}
        for name, value in outputs.items():
            if value is None:
                raise EngineError(f"{graph}.{name}", "is missing from Triton's answer")
        return outputs

    def close(self) -> None:
        """Close the channel."""
        self._client.close()

    def _typed(self, graph: str, error: InferenceServerException) -> EngineError:
        status = str(error.status() or "").removeprefix("StatusCode.")
        if status in UNREACHABLE:
            return EngineError("triton", f"no answer from {self._url} for {graph} ({status})")
        return EngineError(f"triton.{graph}", f"{status}: {error.message()}")


def _tensor(name: str, value: NDArray[Any]) -> triton.InferInput:
    """Triton's model configuration has no scalar, so `[batch]` travels as `[batch, 1]`."""
    value = value.reshape(-1, 1) if value.ndim == 1 else value
    tensor = triton.InferInput(name, list(value.shape), np_to_triton_dtype(value.dtype))
    tensor.set_data_from_numpy(value)
    return tensor
