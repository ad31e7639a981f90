"""An engine in this process: a session for each graph, loaded when it is first needed."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from luciole.bundle import Bundle
from luciole.domain import EngineError
from luciole.engines.protocol import STYLE_SLOTS, checked_inputs, graph_spec, style_bank


class Session(Protocol):
    """A graph that is ready to run, with its bank; safe to call from several threads."""

    def run(self, outputs: Sequence[str], feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The named outputs, in order."""
        ...


class SessionEngine(ABC):
    """What engines in this process share; each says how a graph is loaded."""

    failures: tuple[type[Exception], ...] = (RuntimeError,)
    """What the library raises when a graph fails to run."""

    def __init__(self, bundle: Bundle, style_slots: int = STYLE_SLOTS) -> None:
        self._bundle = bundle
        self.bank = style_bank(bundle, style_slots)
        self._sessions: dict[str, Session] = {}
        self._lock = Lock()
        self._closed = False

    @property
    def bundle(self) -> Bundle:
        """The model that this engine runs."""
        return self._bundle

    def run(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs by name; EngineError names the graph and input that do not fit."""
        feed = checked_inputs(self._bundle, graph, inputs)
        names = [tensor.name for tensor in graph_spec(self._bundle, graph).outputs]
        session = self._session(graph)
        try:
            found = session.run(names, feed)
        except self.failures as error:
            raise EngineError(graph, f"failed to run: {error}") from error
        return dict(zip(names, found, strict=True))

    def close(self) -> None:
        """Free the sessions; a closed engine refuses to run."""
        with self._lock:
            self._closed = True
            self._sessions.clear()

    @abstractmethod
    def _load(
        self,
        graph: str,
        resident: Mapping[str, NDArray[Any]],
        loads: NDArray[np.int64] | None,
    ) -> Session:
        """A session over the graph's bank, if it has one; `loads` counts the bank's changes."""

    def _session(self, graph: str) -> Session:
        with self._lock:
            if self._closed:
                raise EngineError(graph, "the engine is closed")
            if graph not in self._sessions:
                self._sessions[graph] = self._load(graph, *self._bank_of(graph))
            return self._sessions[graph]

    def _bank_of(self, graph: str) -> tuple[Mapping[str, NDArray[Any]], NDArray[np.int64] | None]:
        spec = graph_spec(self._bundle, graph).bank
        if spec is None or self.bank is None:
            return {}, None
        return self.bank.resident(spec.name), self.bank.loads
