"""The demo, run as a person runs it, with a tiny model, which no style of pocket's fits."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from luciole.bundle import Bundle
from serving.demo import cast
from serving.demo.asking import Panel, Shown, Story
from serving.demo.page import StyleShown, Told, page
from serving.demo.prompts import BEFORE_AND_AFTER, PROMPTS
from serving.demo.style import QUICK
from serving.triton.environment import TritonEnvironment

ROOT = Path(__file__).parents[3]
FRAMES = 6


def run(bundle: Bundle, out: Path, *more: str) -> str:
    """The command's words."""
    done = subprocess.run(
        [sys.executable, "-m", "serving", "demo", "--no-style", "--out", out, *more],
        cwd=ROOT,
        env=os.environ
        | {"LUCIOLE_BUNDLE": str(bundle.path), "LUCIOLE_TRITON_FOLDER": str(out / "triton")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


@pytest.fixture(scope="module")
def made(
    guided_bundle: Bundle,
    triton_environment: TritonEnvironment,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("demo")
    return out, run(guided_bundle, out)


def test_it_prints_where_the_page_and_the_service_are(made: tuple[Path, str]) -> None:
    out, said = made
    assert str(out / "index.html") in said
    assert re.search(r"triton behind http://127\.0\.0\.1:\d+", said)


def test_the_page_needs_nothing_beside_it_and_shows_everything(made: tuple[Path, str]) -> None:
    text = (made[0] / "index.html").read_text()
    references = len(cast.pictures())
    assert text.count("data:image/png;base64,") == len(PROMPTS) + FRAMES + references
    assert text.count("data:image/gif;base64,") == 1
    assert all(prompt in text for prompt, _ in PROMPTS)
    assert len(re.findall(r"seed \d+ &middot; \d+\.\d\d s &middot; triton", text)) == 8
    assert len(re.findall(r"seed \d+ · likeness -?\d\.\d\d", text)) == FRAMES
    assert re.search(r"the service finds Mika \(\d", text)
    assert not re.search(r'(src|href)="(?!data:)', text)


def test_the_pictures_lie_beside_the_page_and_nothing_else_is_left(
    made: tuple[Path, str],
) -> None:
    with Image.open(made[0] / "contact-sheet.png") as sheet:
        assert sheet.size == (4 * 256, 2 * (256 + 64))
    with Image.open(made[0] / "animatic.gif") as film:
        assert getattr(film, "n_frames", 1) == FRAMES
    with Image.open(made[0] / "storyboard.png") as board:
        assert board.width > 3 * 64
    left = {file.name for file in made[0].iterdir()} - {"triton"}
    assert left == {"index.html", "contact-sheet.png", "storyboard.png", "animatic.gif"}


def test_one_of_the_prompts_is_the_first_that_anybody_tries() -> None:
    assert len(PROMPTS) == 8
    assert "anime girl walking in rain" in [prompt for prompt, _ in PROMPTS]
    assert set(BEFORE_AND_AFTER) <= set(PROMPTS)


def test_a_style_comes_into_every_frame_with_the_words_that_call_it() -> None:
    document = cast.story("character-1", "neon", "neon style")
    assert len(document["frames"]) == FRAMES
    assert document["characters"] == {"mika": {"id": "character-1"}}
    assert document["canvas"]["styles"] == [{"name": "neon"}]
    assert all("neon style" in frame["words"] for frame in document["frames"])
    plain = cast.story(None, None, "")
    assert "canvas" not in plain
    assert plain["characters"]["mika"]["identity"]


def test_the_page_says_what_took_over_and_what_is_left_out_and_escapes_words() -> None:
    shown = Shown("<b>&", 1, 0.5, "onnx", b"")
    panel = Panel("one", "<i>", 7, None, ["two"], ["no <identity>"], b"")
    told = Told(
        model="pocket",
        licence="Apache-2.0",
        engine="onnx",
        address="http://here",
        notice="Triton is not to be had: <reason>",
        style=StyleShown("<style>", QUICK, 3.0, [b""], [(shown, shown)]),
        character=None,
        story=Story("A <story>", [panel], b"", b"", 2.0),
        pictures=[shown],
        seconds={"all": 100.0},
    )
    text = page(told)
    assert "Triton is not to be had: &lt;reason&gt;" in text
    assert "This model cannot follow: no &lt;identity&gt;." in text
    assert "looks at two" in text
    assert "1.7 minutes" in text
    for raw in ("<b>&<", "<i>,", "<style>”", "<story>", "<reason>"):
        assert raw not in text
