"""The demo's page, which needs nothing beside it, and one picture of the eight prompts."""

import base64
import html
import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from PIL import Image, ImageDraw, ImageFont

from serving.demo.asking import Character, Panel, Shown, Story
from serving.demo.style import Lesson

_CELL, _CAPTION, _COLUMNS = 256, 64, 4
PAGE = Path(__file__).with_suffix(".html")


@dataclass(frozen=True)
class StyleShown:
    """A style before and after, and some of the pictures that it was learned from."""

    trigger: str
    lesson: Lesson
    seconds: float
    taught: Sequence[bytes]
    pairs: Sequence[tuple[Shown, Shown]]


@dataclass(frozen=True)
class Told:
    """Everything that the page shows; `seconds` by what was done, in order."""

    model: str
    licence: str
    engine: str
    address: str
    notice: str | None
    style: StyleShown | None
    character: Character | None
    story: Story
    pictures: Sequence[Shown]
    seconds: Mapping[str, float]


def page(told: Told) -> str:
    """Return the whole of index.html, pictures inside."""
    parts = [_style(told.style)] if told.style else []
    parts += [_character(told.character)] if told.character else []
    parts += [_story(told.story), _pictures(told.pictures)]
    numbered = (part.replace("<h2>", f"<h2><span>{n}</span>", 1) for n, part in enumerate(parts, 1))
    total = sum(told.seconds.values())
    return Template(PAGE.read_text()).substitute(
        model=html.escape(told.model),
        licence=html.escape(told.licence),
        engine=html.escape(told.engine),
        address=html.escape(told.address),
        minutes=f"{total / 60:.1f} minutes" if total >= 90 else f"{total:.0f} seconds",
        notice=f'<p class="notice">{html.escape(told.notice)}</p>' if told.notice else "",
        sections="\n".join(numbered),
        times="\n".join(_time(what, one, total) for what, one in told.seconds.items()),
    )


def _style(style: StyleShown) -> str:
    taught = "".join(f"<figure>{_image(one, 'a picture in the style')}</figure>"
                     for one in style.taught)  # fmt: skip
    pairs = "".join(
        f'<figure><div class="pair"><div class="tag" data-tag="before">{_drawn(plain)}</div>'
        f'<div class="tag" data-tag="after">{_drawn(styled)}</div></div>'
        f"{_caption(styled.prompt, f'seed {styled.seed}', styled)}</figure>"
        for plain, styled in style.pairs
    )
    words = (
        f"A LoRA that the words “{html.escape(style.trigger)}” call, trained for "
        f"{style.lesson.steps} steps on {style.lesson.pictures} pictures in {style.seconds:.0f} s. "
        "It saw pictures such as these; below, the same words and seeds without it and with it."
    )
    return _section(
        "A style, learned just now",
        words,
        f'<div class="row small">{taught}</div><div class="row split">{pairs}</div>',
    )


def _character(character: Character) -> str:
    shown = "".join(
        f"<figure>{_image(one, character.name)}<figcaption>reference {n}</figcaption></figure>"
        for n, one in enumerate(character.references, 1)
    )
    found = ", ".join(f"{name} ({score:.2f})" for name, score in character.found) or "nobody"
    said = "; ".join(f"{facet}: {words}" for facet, words in character.words.items())
    words = (
        f"<b>{html.escape(character.name)}</b> is remembered from two pictures and these words: "
        f"{html.escape(said)}. Asked for “{html.escape(character.asked)}”, the service finds "
        f"{html.escape(found)}."
    )
    return _section(
        "A character, from two pictures", words, f'<div class="row small">{shown}</div>'
    )


def _story(story: Story) -> str:
    panels = "".join(_panel(number, panel) for number, panel in enumerate(story.panels, 1))
    left_out = sorted({words for panel in story.panels for words in panel.left_out})
    missing = f" This model cannot follow: {html.escape('; '.join(left_out))}." if left_out else ""
    words = (
        f"“{html.escape(story.title)}”, drawn by the service's workers in {story.seconds:.0f} s. "
        f"Each frame takes from earlier ones what the storyboard says.{missing}"
    )
    film = _image(story.animatic, "the animatic", "gif")
    return _section(
        f"A story in {len(story.panels)} frames",
        words,
        f'<div class="row strip">{panels}</div>'
        f'<div class="row"><figure class="film">{film}'
        "<figcaption>the animatic</figcaption></figure></div>",
    )


def _panel(number: int, panel: Panel) -> str:
    facts = [f"seed {panel.seed}"]
    facts += [f"likeness {panel.likeness:.2f}"] if panel.likeness is not None else []
    facts += [f"looks at {', '.join(panel.looks_at)}"] if panel.looks_at else []
    title = f"<b>{number}. {html.escape(panel.name.replace('-', ' '))}</b><br>"
    caption = f"{title}{html.escape(panel.prompt)}<small>{html.escape(' · '.join(facts))}</small>"
    image = _image(panel.png, panel.prompt)
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _pictures(pictures: Sequence[Shown]) -> str:
    figures = "".join(
        f"<figure>{_drawn(one)}{_caption(one.prompt, f'seed {one.seed}', one)}</figure>"
        for one in pictures
    )
    words = (
        f"{len(pictures)} prompts, one after another, through <code>/v1/images/generations</code>."
    )
    return _section("Pictures from words", words, f'<div class="row sheet">{figures}</div>')


def _section(title: str, words: str, inside: str) -> str:
    return f"<section><h2>{title}</h2>\n<p>{words}</p>\n{inside}</section>"


def _caption(prompt: str, fact: str, one: Shown) -> str:
    facts = f"{fact} &middot; {one.seconds:.2f} s &middot; {html.escape(one.engine)}"
    return f"<figcaption>{html.escape(prompt)}<small>{facts}</small></figcaption>"


def _drawn(one: Shown) -> str:
    return _image(one.png, one.prompt)


def _image(content: bytes, words: str, kind: str = "png") -> str:
    data = base64.b64encode(content).decode()
    return f'<img alt="{html.escape(words)}" src="data:image/{kind};base64,{data}">'


def _time(what: str, seconds: float, total: float) -> str:
    share = 100 * seconds / max(total, 1e-9)
    bar = f'<i style="width:{share:.1f}%"></i>'
    return f"<tr><td>{html.escape(what)}</td><td>{seconds:.1f} s</td><td>{bar}</td></tr>"


def contact_sheet(shown: Sequence[Shown]) -> Image.Image:
    """Lay out the pictures in rows of four, at 256 pixels, each over its prompt."""
    rows = -(-len(shown) // _COLUMNS)
    size = (_COLUMNS * _CELL, rows * (_CELL + _CAPTION))
    sheet, font = Image.new("RGB", size, "white"), ImageFont.load_default(13)
    pen = ImageDraw.Draw(sheet)
    for i, one in enumerate(shown):
        left, top = i % _COLUMNS * _CELL, i // _COLUMNS * (_CELL + _CAPTION)
        with Image.open(io.BytesIO(one.png)) as picture:
            cell = picture.convert("RGB").resize((_CELL, _CELL), Image.Resampling.LANCZOS)
        sheet.paste(cell, (left, top))
        lines = textwrap.wrap(one.prompt, 36)[:3]
        pen.text((left + 8, top + _CELL + 6), "\n".join(lines), fill="black", font=font)
    return sheet


def write(folder: Path, told: Told) -> Path:
    """Write the page and the pictures beside it, each whole or not at all; the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()
    contact_sheet(told.pictures).save(drawn, "PNG")
    files = {
        "contact-sheet.png": drawn.getvalue(),
        "storyboard.png": told.story.sheet,
        "animatic.gif": told.story.animatic,
        "index.html": page(told).encode(),
    }
    for name, content in files.items():
        unfinished = folder / f".{name}.part"
        unfinished.write_bytes(content)
        unfinished.replace(folder / name)
    return folder / "index.html"
