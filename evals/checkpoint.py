"""A checkpoint as one writes it: `candidate=out/bundle+style:ink@0.8+steps:4`."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import TypeAdapter

from evals.errors import EvaluationError
from evals.sample import Settings
from luciole.bundle import MANIFEST
from luciole.compiled import Runtime
from luciole.domain import SolverName
from luciole.domain.request import Guidance, GuidanceEta

KINDS = ("style", "identity", "pose", "depth", "student")
"""Parts beside the base, each a name or a path, with `@weight` where it is not 1."""
SETTINGS = ("steps", "guidance", "eta", "solver", "triton", "runtime")
"""What a checkpoint may set for itself: a student needs few steps and no guidance."""
RUNTIMES = {one.value: one for one in (Runtime.ONNX, Runtime.OPENVINO)}
"""That need no torch."""
WORLD, REFERENCE = "world", "reference"
"""Bases that draw nothing: the real renders, and the reference pictures handed back."""
STUDENT = {"steps": 4, "guidance_scale": 1.0, "solver": SolverName.LCM}
"""How an attached student is drawn with unless the checkpoint says otherwise."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Part:
    """Something attached to a base."""

    kind: str
    what: str
    weight: float = 1.0


@dataclass(frozen=True)
class Checkpoint:
    """A base, a diffusers folder or a bundle, with its parts and its own settings."""

    name: str
    base: str
    parts: tuple[Part, ...] = ()
    steps: int | None = None
    guidance: float | None = None
    eta: float | None = None
    """How much stays of guidance along the picture itself."""
    solver: SolverName | None = None
    triton: str | None = None
    """host:port of a Triton server that holds the bundle; else it is run in process."""
    runtime: Runtime | None = None
    """What runs a bundle in process; None: ONNX Runtime."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """EvaluationError says what is wrong with which checkpoint."""
        name, equals, rest = text.partition("=")
        base, *extras = rest.split("+")
        if not equals or not _NAME.fullmatch(name) or not base:
            example = "write name=folder, such as base=out/bundle+style:ink@0.8"
            raise EvaluationError("checkpoints", f"{text!r} is no checkpoint; {example}")
        parts, settings = [], {}
        for extra in extras:
            kind, _, what = extra.partition(":")
            if kind in SETTINGS and what:
                settings[kind] = _setting(name, kind, what)
            elif kind in KINDS and what:
                parts.append(_part(name, kind, what))
            else:
                known = ", ".join(KINDS + SETTINGS)
                raise EvaluationError(name, f"{extra!r} is none of {known}, with a value after ':'")
        return cls(name, base, tuple(parts), **settings)

    def asked(self, settings: Settings) -> Settings:
        """The run's settings as this checkpoint changes them; a student brings its own."""
        own: dict[str, Any] = dict(STUDENT) if self.of("student") else {}
        told = {
            "steps": self.steps,
            "guidance_scale": self.guidance,
            "guidance_eta": self.eta,
            "solver": self.solver,
        }
        own |= {name: value for name, value in told.items() if value is not None}
        return replace(settings, **own)

    def of(self, kind: str) -> tuple[Part, ...]:
        """Its parts of a kind."""
        return tuple(part for part in self.parts if part.kind == kind)


def parse_all(texts: Sequence[str]) -> list[Checkpoint]:
    """The checkpoints of a run; the first is what the others are compared with."""
    if not texts:
        raise EvaluationError("checkpoints", "there are none; write checkpoints=[base=out/bundle]")
    found = [Checkpoint.parse(text) for text in texts]
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1:
            raise EvaluationError("checkpoints", f"{name!r} comes twice; give each its own name")
    return found


def tells_a_story(manifest: Path) -> bool:
    """Whether it is a storyboard's, which has frames where a bundle has graphs."""
    try:
        return "frames" in json.loads(manifest.read_text())
    except ValueError:
        return False


def _setting(name: str, kind: str, what: str) -> Any:
    kinds: dict[str, Any] = {
        "steps": int,
        "guidance": TypeAdapter(Guidance).validate_python,
        "eta": TypeAdapter(GuidanceEta).validate_python,
        "solver": SolverName,
    }
    try:
        return RUNTIMES[what] if kind == "runtime" else kinds.get(kind, str)(what)
    except (KeyError, ValueError):
        named: dict[str, Sequence[str]] = {"solver": list(SolverName), "runtime": list(RUNTIMES)}
        reach = {"guidance": " from 1 to 30", "eta": " from 0 to 1"}.get(kind, "")
        known = f"one of {', '.join(named[kind])}" if kind in named else f"a number{reach}"
        raise EvaluationError(name, f"{kind}: {what!r} is not {known}") from None


def _part(name: str, kind: str, what: str) -> Part:
    path, at, weight = what.rpartition("@")
    if not at:
        return Part(kind, what)
    try:
        return Part(kind, path, float(weight))
    except ValueError:
        raise EvaluationError(name, f"{kind}: the weight {weight!r} is no number") from None


def kind_of(checkpoint: Checkpoint) -> Literal["bundle", "diffusers", "storyboards"]:
    """What its base is; EvaluationError where it is nothing."""
    folder = Path(checkpoint.base)
    if (folder / "model_index.json").is_file():
        return "diffusers"
    if (folder / MANIFEST).is_file() and not tells_a_story(folder / MANIFEST):
        return "bundle"
    if any(folder.rglob(MANIFEST)):
        return "storyboards"
    missing = f"{folder} holds neither model_index.json (diffusers) nor manifest.json (a bundle)"
    raise EvaluationError(checkpoint.name, f"{missing}; train or export it first")
