"""The in-process engine: ONNX Runtime."""

from collections.abc import Mapping
from threading import Lock
from typing import Any

import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

from luciole.bundle import Bundle
from luciole.domain import BundleError, EngineError
from luciole.engines.protocol import STYLE_SLOTS, checked_inputs, graph_spec, style_bank

QUIET = 3  # errors only
ORT_ERRORS: tuple[type[Exception], ...] = tuple(
    kind
    for kind in vars(ort_state).values()
    if isinstance(kind, type) and issubclass(kind, Exception)
)
"""ONNX Runtime's exceptions have no base of their own."""


class OnnxEngine:
    """Runs the bundle's graphs on the CPU; each is loaded when it is first needed.

    `threads` is for one operation (0: one per core). Same inputs, same machine and same number
    of threads: same bytes.
    """

    def __init__(
        self, bundle: Bundle, threads: int = 0, eager: bool = False, style_slots: int = STYLE_SLOTS
    ) -> None:
        self._bundle = bundle
        self.bank = style_bank(bundle, style_slots)
        self._threads = threads
        self._sessions: dict[str, ort.InferenceSession] = {}
        self._lock = Lock()
        self._closed = False
        if eager:
            for graph in bundle.manifest.graphs:
                self._session(graph)

    @property
    def bundle(self) -> Bundle:
        """The model that this engine runs."""
        return self._bundle

    def run(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs by name; EngineError names the graph and input that do not fit."""
        feed = checked_inputs(self._bundle, graph, inputs)
        names = [tensor.name for tensor in graph_spec(self._bundle, graph).outputs]
        bank = graph_spec(self._bundle, graph).bank
        if self.bank is not None and bank is not None:
            feed |= self.bank.resident(bank.name)
        session = self._session(graph)
        if _takes_fewer_places(session) and not feed["style_slot"].any():
            # Nobody has a style: the same bytes, without reading the bank.
            feed |= {name: feed[name][:, :0] for name in ("style_slot", "style_weight")}
        try:
            outputs = session.run(names, feed)
        except ORT_ERRORS as error:
            raise EngineError(graph, f"failed to run: {error}") from error
        return dict(zip(names, outputs, strict=True))

    def close(self) -> None:
        """Free the sessions; a closed engine refuses to run."""
        with self._lock:
            self._closed = True
            self._sessions.clear()

    def _session(self, graph: str) -> ort.InferenceSession:
        with self._lock:
            if self._closed:
                raise EngineError(graph, "the engine is closed")
            if graph not in self._sessions:
                self._sessions[graph] = self._load(graph)
            return self._sessions[graph]

    def _load(self, graph: str) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = QUIET
        path = self._bundle.graph_file(graph)
        try:
            return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except ORT_ERRORS as error:
            file = self._bundle.manifest.graphs[graph].file
            raise BundleError(file, f"ONNX Runtime cannot load it: {error}") from error


def _takes_fewer_places(session: ort.InferenceSession) -> bool:
    """Whether rows may bring fewer places of the bank than a mix has at most."""
    shapes = {port.name: port.shape for port in session.get_inputs()}
    return isinstance(shapes.get("style_slot", [0])[-1], str)
