"""The demo's two files: a page that needs nothing beside it, and one picture of all pictures."""

import base64
import html
import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from PIL import Image, ImageDraw, ImageFont

_CELL = 256
_CAPTION = 64
_COLUMNS = 4

PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>Luciole: a contact sheet</title>
<style>
:root{color-scheme:light dark;--ink:#1d1d26;--paper:#fafafc;--card:#fff;--dim:#6b6b7b}
@media(prefers-color-scheme:dark){:root{--ink:#ececf4;--paper:#15151c;--card:#20202a;--dim:#9a9aac}}
*{box-sizing:border-box}
body{margin:0;padding:3rem 1.5rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,sans-serif}
main{max-width:76rem;margin:auto}
h1{margin:0;font-size:2rem;letter-spacing:-.02em}
header p{margin:.25rem 0 0;color:var(--dim)}
.notice{margin-top:1rem;padding:.75rem 1rem;border-left:3px solid #e0a030;background:var(--card)}
.sheet{display:grid;gap:1.25rem;margin:2rem 0;
grid-template-columns:repeat(auto-fill,minmax(15rem,1fr))}
figure{margin:0;background:var(--card);border-radius:.75rem;overflow:hidden;
box-shadow:0 1px 3px #0003}
img{display:block;width:100%;aspect-ratio:1}
figcaption{padding:.75rem 1rem 1rem}
small{display:block;margin-top:.25rem;color:var(--dim);font-variant-numeric:tabular-nums}
</style></head><body><main>
<header><h1>Luciole</h1>
<p>$count pictures from words by <b>$model</b> ($licence), drawn by the <b>$engine</b> engine
in $seconds s, over HTTP.</p>$notice</header>
<section class="sheet">
$figures
</section>
</main></body></html>
""")
FIGURE = Template("""<figure><img alt="$prompt" src="data:image/png;base64,$data">
<figcaption>$prompt<small>seed $seed &middot; $seconds s &middot; $engine</small></figcaption>
</figure>""")


@dataclass(frozen=True)
class Shown:
    """A drawn picture as the service delivered it; `seconds` as its caller waited."""

    prompt: str
    seed: int
    seconds: float
    engine: str
    png: bytes


def page(shown: Sequence[Shown], model: str, licence: str, notice: str | None) -> str:
    """Return the whole of index.html, pictures inside."""
    words = f'<p class="notice">{html.escape(notice)}</p>' if notice else ""
    return PAGE.substitute(
        count=len(shown),
        model=html.escape(model),
        licence=html.escape(licence),
        engine=html.escape(shown[0].engine),
        seconds=f"{sum(one.seconds for one in shown):.1f}",
        notice=words,
        figures="\n".join(_figure(one) for one in shown),
    )


def _figure(one: Shown) -> str:
    return FIGURE.substitute(
        prompt=html.escape(one.prompt),
        data=base64.b64encode(one.png).decode(),
        seed=one.seed,
        seconds=f"{one.seconds:.2f}",
        engine=html.escape(one.engine),
    )


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


def write(folder: Path, text: str, sheet: Image.Image) -> Path:
    """Write both files, each whole or not at all; the path of the page."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()
    sheet.save(drawn, "PNG")
    for name, content in (("contact-sheet.png", drawn.getvalue()), ("index.html", text.encode())):
        unfinished = folder / f".{name}.part"
        unfinished.write_bytes(content)
        unfinished.replace(folder / name)
    return folder / "index.html"
