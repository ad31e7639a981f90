"""A bundle that OpenVINO may run, without another export."""

import os
from pathlib import Path

from luciole.bundle import MANIFEST, Bundle, hashes
from luciole.compiled import Compiled, CompiledGraph, Runtime, write_compiled
from luciole.engines.openvino import openvino_machine


def ready(bundle: Bundle, place: Path, precision: str = "fp32", error: float = 1e-5) -> Bundle:
    """The same graphs in another folder, of which it is written that they were measured."""
    for file in bundle.path.rglob("*"):
        if file.is_file():
            copy = place / file.relative_to(bundle.path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            os.link(file, copy)
    (place / MANIFEST).unlink()
    out = place / Runtime.OPENVINO
    out.mkdir()
    made = {
        name: CompiledGraph(file=spec.file, precision=precision, relative_error=error)
        for name, spec in bundle.manifest.graphs.items()
    }
    write_compiled(Compiled(machine=openvino_machine(), graphs=made), out)
    manifest = bundle.manifest.model_copy(update={"files": hashes(place)})
    (place / MANIFEST).write_text(manifest.model_dump_json())
    return Bundle.open(place)
