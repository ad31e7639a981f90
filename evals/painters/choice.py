"""Which painter a checkpoint needs."""

from pathlib import Path

from evals.checkpoint import REFERENCE, WORLD, Checkpoint, kind_of
from evals.errors import EvaluationError
from evals.painters.known import KnownPictures
from evals.painters.painter import Painter
from evals.painters.storyboard import StoryboardFrames
from evals.sample import Settings


def painter_of(checkpoint: Checkpoint, settings: Settings) -> Painter:
    """Opens its model; EvaluationError names a checkpoint that cannot draw."""
    if checkpoint.base in (WORLD, REFERENCE):
        which = "real" if checkpoint.base == WORLD else "reference"
        return KnownPictures(checkpoint.name, which)
    kind = kind_of(checkpoint)
    if kind == "storyboards":
        return StoryboardFrames(checkpoint.name, Path(checkpoint.base))
    if kind == "bundle":
        from evals.painters.bundle import BundlePainter

        return BundlePainter(checkpoint, settings)
    for asked in ("triton", "runtime"):
        if getattr(checkpoint, asked):
            words = f"{asked}: serves a bundle; export this folder first"
            raise EvaluationError(checkpoint.name, words)
    from evals.painters.folder import FolderPainter

    return FolderPainter(checkpoint, settings)
