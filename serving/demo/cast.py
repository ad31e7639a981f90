"""Whom the stories are about, and the demo's story itself.

`python -m serving.demo.cast docs/storyboards` draws the pictures beside the storyboards.
"""

import io
import sys
from collections.abc import Mapping
from pathlib import Path
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
IDENTITIES = {
    "mika": Identity("girl", "red", "long", "light", "coat", "blue", "none"),
    "taro": Identity("boy", "black", "short", "tan", "hoodie", "yellow", "none"),
}
"""Who is in the storyboards of the documentation."""


def pictures(name: str = "mika", side: int = 256) -> list[bytes]:
    """Two pictures that the built-in world draws of somebody: the face, and all of them."""
    shots = (("close-up", "standing", 0, 5), ("full shot", "walking", 1, 6))
    drawn = []
    for shot, action, facing, seed in shots:
        actor = Actor(IDENTITIES[name], action, facing, seed)
        scene = Scene((actor,), "park", "clear", "day", shot, "eye level", seed)
        drawn.append(_png(render(scene, side, side).image))
    return drawn


def write_pictures(folder: Path) -> None:
    """`<name>-1.png` and `<name>-2.png` of everybody, as large as pocket draws."""
    for name in IDENTITIES:
        for number, content in enumerate(pictures(name, side=128), start=1):
            (folder / f"{name}-{number}.png").write_bytes(content)


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


if __name__ == "__main__":
    write_pictures(Path(sys.argv[1]))
