"""The built-in world: a deterministic renderer of captioned pictures with their ground truth."""

from luciole.storyworld.attributes import (
    ATTRIBUTES,
    Actor,
    Identity,
    Scene,
    Split,
    sample_identity,
    sample_scene,
)
from luciole.storyworld.captions import captions
from luciole.storyworld.render import Picture, render

__all__ = [
    "ATTRIBUTES",
    "Actor",
    "Identity",
    "Picture",
    "Scene",
    "Split",
    "captions",
    "render",
    "sample_identity",
    "sample_scene",
]
