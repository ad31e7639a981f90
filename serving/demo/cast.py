"""Whom the demo's story is about, and the story itself."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import yaml
from PIL import Image

from luciole.storyworld import Actor, Identity, Scene, render, sample_scene
from luciole.storyworld.manners import drawn_in
from serving.bootstrap import ROOT

NAME = "Mika"
WORDS = {"identity": "a girl with long red hair and light skin", "outfit": "a blue coat"}
ASKED = "the red-haired one with the blue coat"
STORY = ROOT / "docs" / "storyboards" / "walk.yaml"
_MIKA = Identity("girl", "red", "long", "light", "coat", "blue", "none")
_SIDE = 256


def pictures() -> list[bytes]:
    """Two pictures of her that the built-in world draws: her face, and all of her."""
    shots = (("close-up", "standing", 0, 5), ("full shot", "walking", 1, 6))
    drawn = []
    for shot, action, facing, seed in shots:
        actor = Actor(_MIKA, action, facing, seed)
        scene = Scene((actor,), "park", "clear", "day", shot, "eye level", seed)
        drawn.append(_png(render(scene, _SIDE, _SIDE).image))
    return drawn


def lessons(manner: str, seeds: range) -> list[bytes]:
    """Some pictures in a manner, such as a style is learned from."""
    return [_png(drawn_in(manner, sample_scene(seed), 128, 128)) for seed in seeds]


def story(character: str | None, style: str | None, trigger: str) -> dict[str, Any]:
    """The storyboard of the documentation, with a remembered character and a style where given."""
    document: dict[str, Any] = yaml.safe_load(STORY.read_text())
    [name] = document["characters"]
    if character is not None:
        document["characters"] = {name: {"id": character}}
    if style is not None:
        document["canvas"] = {"styles": [{"name": style}]}
        document["frames"] = [_called(frame, trigger) for frame in document["frames"]]
    return document


def _called(frame: Mapping[str, Any], trigger: str) -> dict[str, Any]:
    return dict(frame) | {"words": ", ".join(filter(None, [frame.get("words"), trigger]))}


def _png(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
