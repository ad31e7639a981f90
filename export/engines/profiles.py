"""Which sizes an engine must take, from what the bundle allows."""

from dataclasses import dataclass

from export.graphs import MAX_ANCHORED, Graph
from luciole.bundle import Sizes
from luciole.compiled import ProfileSpec
from luciole.domain.guides import MOST_IDENTITIES, MOST_REFERENCES
from luciole.engines.protocol import STYLE_SLOTS
from luciole.models.guided import ANCHOR_SIDE

IDENTITY_TOKENS = 16
"""Of one picture, at most: what IP-Adapter Plus has."""

Range = tuple[int, int, int]
"""The least, the usual and the largest size."""


@dataclass(frozen=True)
class Room:
    """What a bundle allows: its sizes, a latent's stride in pixels, tokens in a window."""

    sizes: Sizes
    stride: int
    window: int

    def profiles(self, graph: Graph, windows: int, slots: int) -> tuple[ProfileSpec, ...]:
        """One for the model's own size and one for any, where that is a difference.

        A prompt has at most so many `windows` and the bank so many `slots`; ONNX has no limit.
        """
        own, sizes = self.sizes.default, self.sizes
        both = {"own size": (own, own, own), "any size": (sizes.min, own, sizes.max)}
        found: list[ProfileSpec] = []
        for name, pixels in both.items():
            ranges = self._ranges(pixels, windows, slots)
            shapes = {
                tensor.name: tuple(
                    tensor.sized({axis: three[i] for axis, three in ranges.items()})
                    for i in range(3)
                )
                for tensor in graph.tensors
            }
            profile = ProfileSpec.model_validate({"name": name, "shapes": shapes})
            if not any(profile.shapes == other.shapes for other in found):
                found.append(profile)
        return tuple(found)

    def _ranges(self, pixels: Range, windows: int, slots: int) -> dict[str, Range]:
        edge = (pixels[0] // self.stride, pixels[1] // self.stride, pixels[2] // self.stride)
        anchors = -(-ANCHOR_SIDE * pixels[2] // self.sizes.default)
        batch = self.sizes.max_batch
        anchored = (1, ANCHOR_SIDE**2, anchors**2)
        return {
            "batch": (1, min(2, batch), batch),
            **dict.fromkeys(("height", "width"), edge),
            **dict.fromkeys(("picture_height", "picture_width"), pixels),
            "tokens": (self.window, self.window, windows * self.window),
            "slots": (2, min(STYLE_SLOTS, slots), slots),
            "identities": (1, 1, MOST_IDENTITIES),
            "identity_tokens": (1, 4, IDENTITY_TOKENS * MOST_REFERENCES),
            **{f"anchor_{i}_tokens": anchored for i in range(MAX_ANCHORED)},
        }
