"""Picture shapes of about the same area, so that batches need no squares."""

import numpy as np
from jaxtyping import Int32
from numpy.typing import NDArray


class Buckets:
    """Shapes in steps of `stride` pixels whose area is at most `side` squared, as SDXL's are.

    Every width from `shortest` to `longest` gets the largest height that fits
    (arXiv:2307.01952, appendix I); sides keep to the same limits. `stride` must be a multiple of
    what the autoencoder and the denoiser together divide by.
    """

    def __init__(self, side: int, stride: int, shortest: int, longest: int) -> None:
        for name, value in (("side", side), ("shortest", shortest), ("longest", longest)):
            if value % stride or value < stride:
                raise ValueError(f"{name}: {value} is not a multiple of the stride, {stride}")
        if not shortest <= side <= longest:
            raise ValueError(f"side: {side} is not between shortest, {shortest}, and {longest}")
        shapes = set()
        for width in range(shortest, longest + 1, stride):
            height = min(side * side // width // stride * stride, longest)
            if height >= shortest:
                shapes |= {(height, width), (width, height)}
        self.stride = stride
        self.shapes: list[tuple[int, int]] = sorted(shapes)

    def choose(self, sizes: Int32[np.ndarray, "n 2"]) -> NDArray[np.int16]:
        """The index of the shape whose aspect is nearest to each picture's, by ratio."""
        aspects = np.log([height / width for height, width in self.shapes])
        order = np.argsort(aspects, kind="stable")
        between = (aspects[order][1:] + aspects[order][:-1]) / 2
        own = np.log(sizes[:, 0] / sizes[:, 1])
        chosen: NDArray[np.int16] = order[np.searchsorted(between, own)].astype(np.int16)
        return chosen
