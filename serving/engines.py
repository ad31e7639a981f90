"""The engine in this process, of the settings' choice."""

from contextlib import closing

from luciole.bundle import Bundle
from luciole.compiled import Compiled, Runtime
from luciole.engines.onnx import OnnxEngine
from luciole.engines.openvino import OpenVinoEngine
from luciole.engines.sessions import SessionEngine
from serving.probe import Probe, learned
from serving.settings import Settings


def in_process(bundle: Bundle, settings: Settings) -> SessionEngine:
    """OpenVINO where it is asked for, else ONNX Runtime.

    BundleError where the bundle was not made ready for it, EngineError where it is not installed.
    """
    threads, slots = settings.threads, settings.style_slots
    if settings.runtime is Runtime.OPENVINO:
        return OpenVinoEngine(bundle, threads=threads, style_slots=slots)
    return OnnxEngine(bundle, threads=threads, eager=True, style_slots=slots)


def probes_of(bundle: Bundle, runtime: Runtime, threads: int) -> list[Probe]:
    """What ONNX Runtime makes of small inputs, and how far the runtime may be off."""
    with closing(OnnxEngine(bundle, threads=threads)) as trusted:
        if runtime is Runtime.ONNX:
            return learned(trusted)
        made = Compiled.read(bundle, runtime).graphs
        return learned(trusted, {name: graph.relative_error for name, graph in made.items()})
