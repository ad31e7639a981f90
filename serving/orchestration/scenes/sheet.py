"""The storyboard on paper: numbered panels, what happens, and what each takes from where."""

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from luciole.domain.storyboard import Frame, Link
from serving.orchestration.pictures import Picture

PANEL = 264
"""Width of a panel in pixels."""
_GAP, _MARGIN, _TITLE, _TEXT = 26, 36, 74, 118
_INK, _DIM, _PAPER, _LINE = (24, 26, 34), (112, 116, 128), (252, 252, 250), (214, 214, 208)
_LINK, _DRIFT = (16, 122, 108), (178, 84, 12)


@dataclass(frozen=True)
class Panel:
    """A frame, its picture, and what is written under it."""

    frame: Frame
    picture: Picture
    words: str
    links: tuple[Link, ...]
    drifted: tuple[str, ...] = ()


def contact_sheet(title: str, panels: Sequence[Panel]) -> Image.Image:
    """All panels in the order of the story, three in a row up to nine, then four."""
    across = min(len(panels), 3 if len(panels) <= 9 else 4)
    down = -(-len(panels) // across)
    height = round(PANEL * panels[0].picture.shape[0] / panels[0].picture.shape[1])
    step = (PANEL + _GAP, height + _TEXT)
    size = (2 * _MARGIN + across * step[0] - _GAP, _TITLE + down * step[1] + _MARGIN // 2)
    sheet = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(sheet)
    shown = textwrap.shorten(title, 20 * across, placeholder="...")
    pen.text((_MARGIN, 22), shown, _INK, ImageFont.load_default(26))
    numbers = {panel.frame.name: i + 1 for i, panel in enumerate(panels)}
    for i, panel in enumerate(panels):
        corner = (_MARGIN + i % across * step[0], _TITLE + i // across * step[1])
        _draw(sheet, pen, panel, corner, height, numbers)
    return sheet


def _draw(
    sheet: Image.Image,
    pen: ImageDraw.ImageDraw,
    panel: Panel,
    corner: tuple[int, int],
    height: int,
    numbers: dict[str, int],
) -> None:
    left, top = corner
    sheet.paste(_scaled(panel.picture, PANEL), corner)
    pen.rectangle((left - 1, top - 1, left + PANEL, top + height), outline=_LINE)
    line = top + height + 8
    name = f"{numbers[panel.frame.name]}  {panel.frame.name.replace('-', ' ')}"
    pen.text((left, line), name, _INK, ImageFont.load_default(15))
    camera = panel.frame.camera
    facts = f"{camera.shot}, {camera.angle}, {panel.frame.seconds:g} s"
    pen.text((left, line + 20), facts, _DIM, ImageFont.load_default(11))
    said = "\n".join(textwrap.wrap(panel.words, 50, max_lines=2, placeholder=" ..."))
    pen.text((left, line + 36), said, _INK, ImageFont.load_default(11), spacing=3)
    colour, notes = _LINK, [linked(link, numbers) for link in panel.links]
    if panel.drifted:
        colour, notes = _DRIFT, [f"drifts: {', '.join(panel.drifted)}", *notes]
    below = "\n".join(textwrap.wrap("; ".join(notes), 50, max_lines=2, placeholder=" ..."))
    pen.text((left, line + 68), below, colour, ImageFont.load_default(11), spacing=3)


def linked(link: Link, numbers: dict[str, int]) -> str:
    """Such as 'from 1: lighting, noise 60 %, latent 0.3'."""
    taken = [kind for kind in ("background", "lighting", "palette") if getattr(link, kind)]
    if link.characters:
        named = link.characters if isinstance(link.characters, tuple) else ("cast",)
        who = " and ".join(named)
        taken.append(f"{who} with poses" if link.poses else who)
    taken += [f"noise {link.noise:.0%}"] if link.noise is not None else []
    taken += [f"latent {link.latent.strength:g}"] if link.latent is not None else []
    return f"from {numbers[link.source]}: {', '.join(taken) or 'nothing'}"


def animatic(panels: Sequence[Panel], width: int = 384) -> bytes:
    """The frames as a GIF, each for its seconds; played again and again."""
    frames = [_scaled(panel.picture, width) for panel in panels]
    target = io.BytesIO()
    frames[0].save(
        target,
        "GIF",
        save_all=True,
        append_images=frames[1:],
        duration=[round(panel.frame.seconds * 1000) for panel in panels],
        loop=0,
        disposal=1,
    )
    return target.getvalue()


def _scaled(picture: Picture, width: int) -> Image.Image:
    height = round(width * picture.shape[0] / picture.shape[1])
    return Image.fromarray(np.ascontiguousarray(picture)).resize(
        (width, height), Image.Resampling.LANCZOS
    )
