"""The in-process engine: ONNX Runtime."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

from luciole.bundle import Bundle
from luciole.domain import BundleError
from luciole.engines.protocol import STYLE_SLOTS
from luciole.engines.sessions import SessionEngine

QUIET = 3  # errors only
ORT_ERRORS: tuple[type[Exception], ...] = tuple(
    kind
    for kind in vars(ort_state).values()
    if isinstance(kind, type) and issubclass(kind, Exception)
)
"""ONNX Runtime's exceptions have no base of their own."""


class OnnxSession:
    """One of ONNX Runtime's, with its bank."""

    def __init__(self, session: ort.InferenceSession, resident: Mapping[str, NDArray[Any]]) -> None:
        self._session, self._resident = session, resident
        shapes = {port.name: port.shape for port in session.get_inputs()}
        # Whether rows may bring fewer places of the bank than a mix has at most.
        self._fewer_places = isinstance(shapes.get("style_slot", [0])[-1], str)

    def run(self, outputs: Sequence[str], feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The named outputs, in order."""
        told = {**feed, **self._resident}
        if self._fewer_places and not feed["style_slot"].any():
            # Nobody has a style: the same bytes, without reading the bank.
            told |= {name: feed[name][:, :0] for name in ("style_slot", "style_weight")}
        found: list[NDArray[Any]] = self._session.run(list(outputs), told)
        return found


class OnnxEngine(SessionEngine):
    """Runs the bundle's graphs on the CPU; each is loaded when it is first needed.

    `threads` is for one operation (0: one per core). Same inputs, same machine and same number
    of threads: same bytes.
    """

    failures = ORT_ERRORS

    def __init__(
        self, bundle: Bundle, threads: int = 0, eager: bool = False, style_slots: int = STYLE_SLOTS
    ) -> None:
        super().__init__(bundle, style_slots)
        self._threads = threads
        if eager:
            for graph in bundle.manifest.graphs:
                self._session(graph)

    def _load(
        self, graph: str, resident: Mapping[str, NDArray[Any]], loads: NDArray[np.int64] | None
    ) -> OnnxSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = QUIET
        path = self.bundle.graph_file(graph)
        try:
            session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except ORT_ERRORS as error:
            file = self.bundle.manifest.graphs[graph].file
            raise BundleError(file, f"ONNX Runtime cannot load it: {error}") from error
        return OnnxSession(session, resident)
