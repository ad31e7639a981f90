"""Which painter a checkpoint needs."""

from evals.checkpoint import REFERENCE, WORLD, Checkpoint, is_bundle
from evals.errors import EvaluationError
from evals.painters.known import KnownPictures
from evals.painters.painter import Painter
from evals.sample import Settings


def painter_of(checkpoint: Checkpoint, settings: Settings) -> Painter:
    """Opens its model; EvaluationError names a checkpoint that cannot draw."""
    if checkpoint.base in (WORLD, REFERENCE):
        which = "real" if checkpoint.base == WORLD else "reference"
        return KnownPictures(checkpoint.name, which)
    if is_bundle(checkpoint):
        from evals.painters.bundle import BundlePainter

        return BundlePainter(checkpoint, settings)
    if checkpoint.triton:
        raise EvaluationError(checkpoint.name, "triton: serves a bundle; export this folder first")
    from evals.painters.folder import FolderPainter

    return FolderPainter(checkpoint, settings)
