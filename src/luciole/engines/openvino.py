"""Runs a bundle's ONNX graphs with OpenVINO, in the precision that was measured for each."""

import importlib
import sys
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luciole.bundle import Bundle
from luciole.compiled import Compiled, Machine, Runtime
from luciole.domain import EngineError
from luciole.engines.protocol import STYLE_SLOTS, graph_spec
from luciole.engines.sessions import SessionEngine

Arrays = Mapping[str, NDArray[Any]]
HINTS = {"fp32": "f32", "bf16": "bf16"}
TIMES = ("timestep", "time_ids")
"""Never rounded: bf16 has no 999, and the sine of a thousand depends on it."""
STYLES = ("style_slot", "style_weight", "bank_a", "bank_b")
HEAVY = ("MatMul", "Convolution", "GroupConvolution")
SHAPES = 12
"""That stay compiled for a graph; about 75 MiB each for the shipped denoiser."""


def library() -> Any:
    """OpenVINO; EngineError says how to install it."""
    # It would send its makers word of this import, and does without where that part is missing.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        words = f"is not installed ({error}); pip install 'luciole[openvino]'"
        raise EngineError("openvino", words) from error


@cache
def core() -> Any:
    """The process's only one, for good.

    The CPU plugin gives the thread that loads it a stack for signals, and frees it in the end: with
    a second plugin, the stack that is left may be one that was freed, and the next signal kills.
    """
    return library().Core()


def openvino_machine() -> Machine:
    """This CPU: what counts of it is whether it computes in bf16."""
    version = library().__version__
    able = core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    capability = "bf16" if "BF16" in able else "fp32"
    return Machine(library="openvino", version=version, device="cpu", capability=capability)


class OpenVinoSession:
    """One graph, compiled for each shape that comes along; one call at a time.

    Rows go in calls of 16, 8, 4, 2 and 1, so that few shapes have to be compiled. Rows with styles
    and rows without are computed apart: so neither depends on the other, and those without are
    not asked for the bank.
    """

    def __init__(self, file: str, precision: str, resident: Arrays, threads: int = 0) -> None:
        """`resident` is the graph's bank, if it has any; `threads` 0: one per core."""
        self._resident = resident
        self._settings = {
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # other processes have these cores too
        }
        self._times, model = _without_times(library(), core().read_model(file))
        self._models = {True: model, False: _without_styles(model) if resident else model}
        self._compiled: OrderedDict[object, Any] = OrderedDict()
        self._lock = Lock()

    def run(self, outputs: Sequence[str], feed: Arrays) -> list[NDArray[Any]]:
        """The named outputs, in order."""
        count = len(next(iter(feed.values())))
        styled = feed["style_slot"].any(axis=1) if self._resident else np.zeros(count, bool)
        found: dict[int, list[NDArray[Any]]] = {}
        with self._lock:
            for with_styles in (False, True):
                rows = np.flatnonzero(styled == with_styles)
                for part in _parts(rows):
                    answer = self._infer({n: v[part] for n, v in feed.items()}, with_styles)
                    for place, row in enumerate(part):
                        found[int(row)] = [answer[name][place] for name in outputs]
        return [np.stack([found[row][n] for row in range(count)]) for n in range(len(outputs))]

    def _infer(self, feed: dict[str, NDArray[Any]], styled: bool) -> Mapping[str, NDArray[Any]]:
        """Rows of a kind, in one call."""
        if styled:
            feed |= _gathered(feed, self._resident)
        if self._times is not None:
            told = {port: feed[port] for port in self._times.names}
            feed |= self._times.infer(told)
        return self._request(feed, styled).infer(feed)

    def _request(self, feed: Arrays, styled: bool) -> "_Request":
        key = (styled, *(value.shape for value in feed.values()))
        if key not in self._compiled:
            model = self._models[styled].clone()
            names = [port.get_any_name() for port in model.inputs]
            model.reshape({name: list(feed[name].shape) for name in names})
            self._compiled[key] = _Request(core().compile_model(model, "CPU", self._settings))
            while len(self._compiled) > SHAPES:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(key)
        request: _Request = self._compiled[key]
        return request


class _Request:
    """A model that is ready for one call at a time."""

    def __init__(self, compiled: Any) -> None:
        self.names = [port.get_any_name() for port in compiled.inputs]
        self._outputs = [(place, port.get_names()) for place, port in enumerate(compiled.outputs)]
        self._request = compiled.create_infer_request()

    def infer(self, feed: Arrays) -> dict[str, NDArray[Any]]:
        """Outputs by name; what else is in `feed` is left alone."""
        told = {name: np.ascontiguousarray(feed[name]) for name in self.names}
        found = self._request.infer(told, share_inputs=True)
        return {name: np.array(found[n]) for n, names in self._outputs for name in names}


def _parts(rows: NDArray[np.intp]) -> Iterable[NDArray[np.intp]]:
    """The rows in powers of two."""
    size = 16
    while len(rows):
        while len(rows) < size:
            size //= 2
        yield rows[:size]
        rows = rows[size:]


def _gathered(feed: Arrays, resident: Arrays) -> dict[str, NDArray[Any]]:
    """A bank of what these rows name: OpenVINO would turn the whole of it into bf16 every time."""
    slots = feed["style_slot"]
    places = np.arange(slots.size, dtype=slots.dtype).reshape(slots.shape)
    return {"style_slot": places, **{name: one[slots.ravel()] for name, one in resident.items()}}


def _without_styles(model: Any) -> Any:
    """A copy in which nothing of the bank is added; how many rows there are may still be read."""
    model = model.clone()
    touched = _named(model, STYLES)
    for node in model.get_ordered_ops():
        sources = [value.get_node().get_name() in touched for value in node.input_values()]
        if node.get_type_name() == "Add" and sum(sources) == 1:
            kept = node.input_values()[sources.index(False)]
            for reader in node.output(0).get_target_inputs():
                reader.replace_source_output(kept)
        elif any(sources) and node.get_type_name() != "ShapeOf":
            touched.add(node.get_name())
    return _tidied(model)


def _without_times(ov: Any, model: Any) -> tuple[_Request | None, Any]:
    """What becomes of times before the first layer, in fp32; and a model that is told it."""
    if not _named(model, TIMES):
        return None, model
    front, back = model.clone(), model.clone()
    cuts = [_ends_of_times(one) for one in (front, back)]
    results, told = [], []
    for place, (end, other) in enumerate(zip(*cuts, strict=True)):
        name = f"times_{place}"
        end.get_tensor().set_names({name})
        results.append(ov.opset13.result(end))
        port = ov.opset13.parameter(other.get_partial_shape(), other.get_element_type(), name)
        port.output(0).get_tensor().set_names({name})
        for reader in other.get_target_inputs():
            if reader.get_node().get_type_name() in HEAVY:
                reader.replace_source_output(port.output(0))
        told.append(port)
    back.add_parameters(told)
    times = _tidied(ov.Model(results, front.get_parameters(), "times"))
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    return _Request(core().compile_model(times, "CPU", settings)), _tidied(back)


def _ends_of_times(model: Any) -> list[Any]:
    """What heavy operations read of that which depends on times and on nothing heavy."""
    touched, ends = _named(model, TIMES), []
    for node in model.get_ordered_ops():
        for value in node.input_values():
            if value.get_node().get_name() not in touched:
                continue
            if node.get_type_name() not in HEAVY:
                touched.add(node.get_name())
            elif value not in ends:
                ends.append(value)
    return ends


def _named(model: Any, names: Sequence[str]) -> set[str]:
    """The nodes of the parameters that are called so."""
    ports = [port for port in model.get_parameters() if port.get_friendly_name() in names]
    return {port.get_name() for port in ports}


def _tidied(model: Any) -> Any:
    """The same model, without the parameters that no result depends on."""
    seen: set[str] = set()
    ahead = list(model.get_results())
    while ahead:
        node = ahead.pop()
        if node.get_name() not in seen:
            seen.add(node.get_name())
            ahead.extend(value.get_node() for value in node.input_values())
    for port in model.get_parameters():
        if port.get_name() not in seen:
            model.remove_parameter(port)
    return model


def open_session(bundle: Bundle, graph: str, resident: Arrays, threads: int = 0) -> OpenVinoSession:
    """One graph, ready to run; arguments as OpenVinoSession's.

    BundleError where its error was never measured, or that was for another kind of machine.
    """
    compiled = Compiled.read(bundle, Runtime.OPENVINO)
    compiled.check(openvino_machine(), Runtime.OPENVINO)
    graph_spec(bundle, graph)
    made = compiled.graphs[graph]
    return OpenVinoSession(str(bundle.file(made.file)), made.precision, resident, threads)


class OpenVinoEngine(SessionEngine):
    """Runs the bundle's graphs with OpenVINO on the CPU; each is loaded when it is first needed.

    Same inputs, same machine and same number of threads: same bytes, whatever the neighbours.
    """

    def __init__(self, bundle: Bundle, threads: int = 0, style_slots: int = STYLE_SLOTS) -> None:
        """BundleError where `python -m export target=openvino` did not make the bundle."""
        Compiled.read(bundle, Runtime.OPENVINO).check(openvino_machine(), Runtime.OPENVINO)
        super().__init__(bundle, style_slots)
        self._threads = threads

    def _load(
        self, graph: str, resident: Arrays, loads: NDArray[np.int64] | None
    ) -> OpenVinoSession:
        return open_session(self.bundle, graph, resident, self._threads)
