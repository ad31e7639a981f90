"""Sees to it that there is a bundle, by running `python -m export` as a program of its own."""

import subprocess
import sys
from pathlib import Path

from luciole.bundle import Bundle
from luciole.compiled import Compiled, Runtime
from luciole.domain import BundleError
from luciole.recipe import recipe
from luciole.shipped import shipped_guides, shipped_model, shipped_styles

ROOT = Path(__file__).parents[1]


def ensure(bundle: Path, model: Path, runtime: Runtime = Runtime.ONNX) -> bool:
    """Export `model` unless `bundle` is whole and made of it; whether that was needed.

    The exporter brings torch, which a service must not load: so it is another process, and it
    shows its own progress. BundleError if it fails.
    """
    if up_to_date(bundle, model, runtime):
        return False
    target = f"target={runtime}"
    choices = [f"folder={quoted(model.resolve())}", f"out={quoted(bundle.resolve())}", target]
    command = [sys.executable, "-m", "export", *choices]
    done = subprocess.run(command, cwd=ROOT, check=False)  # noqa: S603 - our own arguments only
    if done.returncode != 0:
        raise BundleError(str(bundle), f"`python -m export` ended with status {done.returncode}")
    return True


def up_to_date(bundle: Path, model: Path, runtime: Runtime = Runtime.ONNX) -> bool:
    """Whether a whole bundle is there, made of exactly this folder and by this very exporter.

    The shipped model is exported with its styles and guides, others are without; a `runtime` other
    than onnx must have been made ready in it.
    """
    try:
        whole = Bundle.open(bundle)
        if runtime is not Runtime.ONNX:
            Compiled.read(whole, runtime)
    except BundleError:
        return False
    ours = model.resolve() == shipped_model().resolve()
    styles, guides = (shipped_styles(), shipped_guides().values()) if ours else ((), ())
    return whole.manifest.recipe == recipe(ROOT / "export", model, styles, guides)


def quoted(path: Path) -> str:
    """Quote for Hydra's command line, whose grammar gives meaning to many characters."""
    escaped = str(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
