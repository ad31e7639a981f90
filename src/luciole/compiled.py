"""The contract between `export`, which compiles graphs for one machine, and engines that run them.

A bundle's ONNX graphs run anywhere. Beside them, in a folder for each runtime, may lie engines that
were compiled from them for one kind of device and one version of a library, and run nowhere else.
"""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from luciole.bundle import Bundle
from luciole.domain import BundleError

COMPILED = "engines.json"


class Runtime(StrEnum):
    """What runs a bundle's graphs; the values are the folders of what is compiled for them."""

    ONNX = "onnx"
    TENSORRT = "tensorrt"
    TENSORRT_RTX = "tensorrt_rtx"
    AOTI = "aoti"
    OPENVINO = "openvino"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Machine(_Record):
    """What an engine is bound to; empty where nothing is said."""

    library: str
    version: str
    device: str
    """As its vendor calls it: a GPU's name, or cpu."""
    capability: str
    """Several, with spaces between them, where an engine runs on each."""


class ProfileSpec(_Record):
    """Shapes that an engine was tuned for: by input, the least, the usual and the largest."""

    name: str
    shapes: Mapping[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]


class CompiledGraph(_Record):
    """One graph of the bundle; its inputs and outputs are those of the ONNX graph."""

    file: str
    """Within the bundle."""
    precision: str
    """That it computes in; what goes in and comes out keeps the bundle's types."""
    relative_error: float
    """Against torch in fp32, on random inputs."""
    profiles: tuple[ProfileSpec, ...] = ()


class Compiled(_Record):
    """What engines.json says."""

    machine: Machine
    graphs: dict[str, CompiledGraph]

    @classmethod
    def read(cls, bundle: Bundle, runtime: Runtime) -> "Compiled":
        """BundleError where there is none, or it lacks a graph or a file."""
        name = f"{runtime}/{COMPILED}"
        if name not in bundle.manifest.files:
            words = f"is not there; run: python -m export target={runtime}"
            raise BundleError(name, words)
        try:
            compiled = cls.model_validate_json(bundle.file(name).read_bytes())
        except ValidationError as error:
            raise BundleError(name, f"{error.errors()[0]['msg']}; export again") from error
        for graph in bundle.manifest.graphs:
            if graph not in compiled.graphs:
                raise BundleError(name, f"lacks the graph {graph!r}; export again")
        for one in compiled.graphs.values():
            bundle.file(one.file)
        return compiled

    def check(self, here: Machine, runtime: Runtime) -> None:
        """BundleError unless this is the kind of machine that the engines were compiled on."""
        for what in ("library", "version", "device", "capability"):
            made, found = getattr(self.machine, what), getattr(here, what)
            if found != made and found not in made.split():
                words = f"was compiled with {what} {made!r}, here is {found!r}"
                again = f"run here: python -m export target={runtime}"
                raise BundleError(f"{runtime}/{COMPILED}", f"{words}; {again}")


def write_compiled(compiled: Compiled, folder: Path) -> None:
    """Write engines.json."""
    (folder / COMPILED).write_text(f"{compiled.model_dump_json(indent=2)}\n")
