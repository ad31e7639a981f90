"""The README's commands, run as it says, on the model that comes with the checkout."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
ELSEWHERE = {
    "make test": "runs this",
    "make setup": "ran before this",
    "make up": "tests/serving/test_up.py",
    "make demo": "test_the_demo_draws_its_prompts",
    "make evals": "test_the_shipped_model_draws_what_it_is_told",
    "make bench": "test_the_measured_speeds_are_one_table",
    "make storm": "tests/serving/jobs/test_storm.py",
    "python -m luciole.storyworld": "test_the_world_can_be_looked_at",
    "python -m luciole.storyworld.manners": "test_the_world_can_be_looked_at",
    "python -m training experiment=pocket_autoencoder": "tests/training/test_experiments.py",
    "python -m training.ship": "tests/training/test_ship.py",
    "python -m training.ship_adapters": "tests/training/test_ship_adapters.py",
    "python -m evals suite=words 'checkpoints=[one=out/bundle, other=<folder>]'": (
        "tests/evals/test_run.py"
    ),
    "python -m serving storyboard docs/storyboards/friends.yaml": (
        "tests/serving/orchestration/scenes/test_command.py"
    ),
    "python -m export folder=<diffusers folder> out=out/bundle": "tests/export/test_export.py",
}


def run(*arguments: str) -> str:
    """A command of the checkout; its output."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def size_of(picture: Path) -> tuple[int, int]:
    """Width and height in pixels."""
    with Image.open(picture) as opened:
        return opened.size


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model, exported by the command line."""
    out = tmp_path_factory.mktemp("shipped") / "bundle"
    assert "denoiser" in run("export", f"out={out}")
    return out


def test_every_command_of_the_readme_is_run_somewhere() -> None:
    text = (ROOT / "README.md").read_text()
    commands = set(re.findall(r"(?:^|`)((?:make|python -m) [^`#\n]*[^`#\n ])", text, re.MULTILINE))
    assert commands == set(ELSEWHERE)


def test_every_file_the_readme_names_is_there() -> None:
    text = (ROOT / "README.md").read_text()
    for path in re.findall(r"\]\(([^)]+)\)", text):
        assert (ROOT / path).exists(), path


def test_the_world_can_be_looked_at(tmp_path: Path) -> None:
    sheet = tmp_path / "world.png"
    run("luciole.storyworld", "--out", str(sheet), "--columns", "3", "--rows", "2")
    assert size_of(sheet) == (3 * 128, 2 * (128 + 14))
    run("luciole.storyworld", "--maps", "--out", str(sheet), "--seed", "5")
    assert size_of(sheet) == (4 * 128, 128)
    run("luciole.storyworld.manners", "--out", str(sheet), "--columns", "2")
    assert size_of(sheet)[0] == 2 * 128


def test_the_measured_speeds_are_one_table() -> None:
    assert "recall@10" in run("evals.bench")


def test_the_shipped_model_draws_what_it_is_told(bundle: Path, tmp_path: Path) -> None:
    here = [f"checkpoints=[pocket={bundle}]", f"out={tmp_path}", f"cache={tmp_path}/renders"]
    run("evals", *here, "prompts=24", "batch=12")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["model"]["overall"]["count"] == 24 * 6
    assert report["model"]["overall"]["value"] > 0.65
    assert (tmp_path / "pictures.png").exists()


def test_the_demo_draws_its_prompts(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUCIOLE_BUNDLE", str(bundle))
    run("serving", "demo", "--quick", "--out", str(tmp_path / "demo"))
    page = (tmp_path / "demo" / "index.html").read_text()
    assert "anime girl walking in rain" in page
    assert page.count('data-tag="after"') == 3
    assert "the service finds Mika" in page
    with Image.open(tmp_path / "demo" / "contact-sheet.png") as sheet:
        assert np.asarray(sheet).std() > 30
