"""What guides a plan besides its words: who can do it, and the arrays it becomes."""

from math import sqrt

import numpy as np
from jaxtyping import Float32

from luciole.bundle import Manifest
from luciole.domain import InvalidRequest, NoiseFamily, RenderPlan

FAMILY_KEY = 1 << 64
"""Above all seeds, so that a family's noise is nobody's own."""


def refuse_guides(plan: RenderPlan, manifest: Manifest) -> None:
    """InvalidRequest names the first guide that this model's bundle has no graph for."""
    needs = {
        "start": "vae_encoder",
        "mask": "vae_encoder",
        "reference": "vae_encoder",
        "controls": "controlnet",
        "identities": "image_encoder",
        "anchor": "anchor_encoder",
    }
    for field, graph in needs.items():
        if getattr(plan, field) and graph not in manifest.graphs:
            words = f"{manifest.name!r} was exported without its graph {graph!r}"
            raise InvalidRequest(field, f"{words}; leave it out or export it again")


def in_family(
    own: Float32[np.ndarray, "channel height width"], family: NoiseFamily | None
) -> Float32[np.ndarray, "channel height width"]:
    """`sqrt(share)` of the family's noise and `sqrt(1 - share)` of one's own: N(0, 1) again."""
    if family is None:
        return own
    generator = np.random.Generator(np.random.Philox(key=FAMILY_KEY + family.seed))
    common = generator.standard_normal(own.shape, dtype=np.float32)
    share = np.float32(sqrt(family.share)), np.float32(sqrt(1 - family.share))
    return share[0] * common + share[1] * own
