"""Triton's `generate` model without the gateway: a plan goes in, steps and a picture come back.

Needs `tritonclient[grpc]`. Nobody is asked for a key here: keep Triton on your own network.
"""

import json
import queue
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
import tritonclient.grpc as grpc
import tritonclient.grpc.aio as grpc_aio
from jaxtyping import UInt8
from tritonclient.utils import InferenceServerException

from luciole.client.errors import ServiceUnavailable
from luciole.domain import (
    Busy,
    Cancelled,
    EngineBadOutput,
    EngineError,
    InvalidRequest,
    LucioleError,
    RenderPlan,
)

Picture = UInt8[np.ndarray, "height width 3"]
Progress = Callable[[int, int], None]
MODEL = "generate"
_KINDS = {
    kind.code: kind for kind in (InvalidRequest, Busy, Cancelled, EngineError, EngineBadOutput)
}


class TritonGenerate:
    """Draws plans; `address` is `host:port` of Triton's gRPC."""

    def __init__(self, address: str, timeout: float = 300.0) -> None:
        """`timeout`: seconds without any answer."""
        self._client = grpc.InferenceServerClient(address)
        self._timeout = timeout

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def draw(
        self, plan: RenderPlan, files: Sequence[bytes] = (), progress: Progress | None = None
    ) -> Picture:
        """One picture; `files` are the pictures that the plan names.

        InvalidRequest, Busy and the engine's errors, as the pipeline raises them.
        """
        answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
        self._client.start_stream(callback=lambda result, error: answers.put((result, error)))
        try:
            self._client.async_stream_infer(MODEL, _inputs(plan, files))
            while True:
                result, error = self._next(answers)
                if error is not None:
                    raise _translated(error)
                if (picture := _taken(result, progress)) is not None:
                    return picture
        finally:
            self._client.stop_stream(cancel_requests=True)

    def _next(self, answers: "queue.Queue[tuple[Any, Any]]") -> tuple[Any, Any]:
        try:
            return answers.get(timeout=self._timeout)
        except queue.Empty:
            raise EngineError(MODEL, f"no answer within {self._timeout:g} s") from None


class AsyncTritonGenerate:
    """The same for event loops."""

    def __init__(self, address: str) -> None:
        self._client = grpc_aio.InferenceServerClient(address)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.close()

    async def draw(
        self, plan: RenderPlan, files: Sequence[bytes] = (), progress: Progress | None = None
    ) -> Picture:
        """One picture, as `TritonGenerate.draw`."""

        async def asked() -> AsyncIterator[dict[str, Any]]:
            yield {"model_name": MODEL, "inputs": _inputs(plan, files)}

        try:
            async for result, error in self._client.stream_infer(asked()):
                if error is not None:
                    raise _translated(error)
                if (picture := _taken(result, progress)) is not None:
                    return picture
        except InferenceServerException as error:
            raise _translated(error) from error
        raise EngineError(MODEL, "ended without a picture")


def _inputs(plan: RenderPlan, files: Sequence[bytes]) -> list[Any]:
    inputs = [_strings("plan", [plan.model_dump_json().encode()])]
    return [*inputs, _strings("pictures", files)] if files else inputs


def _strings(name: str, values: Sequence[bytes]) -> Any:
    tensor = grpc.InferInput(name, [len(values)], "BYTES")
    tensor.set_data_from_numpy(np.array(values, dtype=np.object_))
    return tensor


def _taken(result: Any, progress: Progress | None) -> Picture | None:
    """Tell of a step, or return the picture."""
    event = json.loads(result.as_numpy("event")[0])
    if "finished" in event:
        return np.asarray(result.as_numpy("picture"), np.uint8)
    if progress is not None:
        progress(event["done"], event["total"])
    return None


def _translated(error: Any) -> LucioleError:
    """The error that was raised inside: `code: field: message`."""
    words = str(error.message() if hasattr(error, "message") else error)
    code, _, rest = words.partition(": ")
    field, _, message = rest.partition(": ")
    kind = _KINDS.get(code)
    if kind is None:
        return ServiceUnavailable(MODEL, words, status=0, kind=None)
    return kind(field, message or rest)
