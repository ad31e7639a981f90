"""The demo, run as a person runs it, with a tiny model."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from luciole.bundle import Bundle
from serving.demo.page import Shown, page
from serving.demo.prompts import PROMPTS
from serving.triton.environment import TritonEnvironment

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def made(
    tiny_bundle: Bundle,
    triton_environment: TritonEnvironment,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("demo")
    run = subprocess.run(
        [sys.executable, "-m", "serving", "demo", "--out", out],
        cwd=ROOT,
        env=os.environ
        | {
            "LUCIOLE_BUNDLE": str(tiny_bundle.path),
            "LUCIOLE_TRITON_FOLDER": str(out / "triton"),
            "LUCIOLE_STATE_FOLDER": str(out / "state"),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return out, run.stderr


def test_it_prints_where_the_page_and_the_service_are(made: tuple[Path, str]) -> None:
    out, said = made
    assert str(out / "index.html") in said
    assert re.search(r"triton behind http://127\.0\.0\.1:\d+", said)


def test_the_page_needs_nothing_beside_it_and_shows_every_prompt(made: tuple[Path, str]) -> None:
    text = (made[0] / "index.html").read_text()
    assert text.count("data:image/png;base64,") == len(PROMPTS) == 8
    assert all(prompt in text for prompt, _ in PROMPTS)
    assert len(re.findall(r"seed \d+ &middot; \d+\.\d\d s &middot; triton", text)) == 8
    assert not re.search(r'(src|href)="(?!data:)', text)


def test_the_contact_sheet_holds_all_pictures(made: tuple[Path, str]) -> None:
    with Image.open(made[0] / "contact-sheet.png") as sheet:
        assert sheet.size == (4 * 256, 2 * (256 + 64))


def test_one_of_the_prompts_is_the_issues_own() -> None:
    assert "anime girl walking in rain" in [prompt for prompt, _ in PROMPTS]


def test_the_page_says_when_another_engine_took_over_and_escapes_words() -> None:
    shown = Shown("<b>&", 1, 0.5, "onnx", b"")
    text = page([shown], "pocket", "Apache-2.0", "Triton is not to be had: <reason>")
    assert "Triton is not to be had: &lt;reason&gt;" in text
    assert "<b>&<" not in text
