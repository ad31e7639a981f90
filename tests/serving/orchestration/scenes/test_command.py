"""`python -m serving storyboard` over a real engine with a tiny model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from luciole.bundle import Bundle
from luciole.domain import RenderPlan
from luciole.domain.character import Facet
from luciole.domain.storyboard import CastMember, Storyboard
from luciole.engines import Engine
from luciole.engines.onnx import OnnxEngine
from luciole.pipeline import Pipeline
from serving.__main__ import main
from serving.orchestration.characters.crops import squared
from serving.orchestration.characters.encoder import EngineEncoder, image_encoder, looks_encoder
from serving.orchestration.pictures import PictureShelf, png
from serving.orchestration.scenes.compile import compile_storyboard
from serving.orchestration.scenes.likeness import FrameLikeness
from tests.conftest import save_tiny_style

STORY = """
title: Three frames
canvas: {steps: 2, width: 64, height: 64}
characters:
  mika: {identity: a girl, outfit: a red coat, pictures: {identity: [mika.png]}}
chain: {background: true, noise: 0.5, latent: {strength: 0.5, end: 1.0}}
retries: {attempts: 2, least: 1.0}
frames:
- {name: dawn, background: in rain, characters: {mika: {pose: walking}}, seconds: 0.5}
- {name: noon, characters: {mika: {}}, seconds: 2}
- {name: dusk, camera: {shot: wide shot}}
"""
Run = Callable[..., int]


@pytest.fixture
def run(guided_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line in a folder with the story and its picture."""
    monkeypatch.setenv("LUCIOLE_BUNDLE", str(guided_bundle.path))
    monkeypatch.setenv("LUCIOLE_THREADS", "1")
    (tmp_path / "story.yaml").write_text(STORY)
    (tmp_path / "mika.png").write_bytes(png(np.full((32, 32, 3), 200, np.uint8)))

    def run(*more: str, out: str = "out") -> int:
        return main(
            ["storyboard", str(tmp_path / "story.yaml"), "--out", str(tmp_path / out), *more]
        )

    return run


def written(folder: Path) -> dict[str, bytes]:
    """Every file that is meant to be seen, by its path."""
    files = (file for file in folder.rglob("*") if file.is_file())
    shown = {str(file.relative_to(folder)): file.read_bytes() for file in files}
    return {name: content for name, content in shown.items() if not name.startswith(".")}


def manifest(folder: Path) -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = json.loads((folder / "manifest.json").read_bytes())["frames"]
    return frames


def test_a_file_becomes_pictures_a_sheet_an_animatic_and_a_manifest(
    run: Run, tmp_path: Path, guided_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 0
    out = tmp_path / "out"
    first = written(out)
    frames = [f"frames/{name}.png" for name in ("01-dawn", "02-noon", "03-dusk")]
    assert set(first) == {*frames, "contact-sheet.png", "animatic.gif", "manifest.json"}
    with Image.open(out / "animatic.gif") as film:
        assert film.n_frames == 3
        assert film.info["duration"] == 500
    told = manifest(out)
    assert [one["attempts"] for one in told] == [2, 2, 1]
    assert [one["drifted"] for one in told] == [["mika"], ["mika"], []]
    assert told[1]["plan"]["reference"]["picture"] == told[0]["picture"]
    assert "drifts" in capsys.readouterr().err

    assert run() == 0
    assert "0 of 3 frames are stale" in capsys.readouterr().err
    assert written(out) == first
    assert run(out="other") == 0
    assert written(tmp_path / "other") == first

    engine = OnnxEngine(guided_bundle, threads=1)
    shelf = PictureShelf()
    for name in ("mika.png", *(f"out/{frame}" for frame in frames)):
        shelf.put((tmp_path / name).read_bytes())
    again = Pipeline(engine, shelf).render([RenderPlan(**told[1]["plan"])])[0]
    assert png(again) == first[frames[1]]
    engine.close()


def test_what_is_stale_can_be_asked_without_drawing(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--list") == 0
    assert "3 of 3 frames are stale" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_alone_frames_have_the_same_words_and_seeds_and_nothing_in_common(
    run: Run, tmp_path: Path
) -> None:
    run(out="linked")
    run("--alone", out="alone")
    pairs = list(zip(manifest(tmp_path / "linked"), manifest(tmp_path / "alone"), strict=True))
    assert all(one["plan"]["prompt"] == other["plan"]["prompt"] for one, other in pairs)
    assert all(other["plan"]["seed"] == other["shot"]["seed"] for _, other in pairs)
    for _, other in pairs:
        guides = ("family", "reference", "anchor")
        assert [other["plan"][name] for name in guides] == [None, None, None]


def test_a_character_wears_what_was_learned_of_it(
    run: Run, tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mika.safetensors"
    save_tiny_style(tiny_folder, file, "mika", 4, 3)
    run(out="plain")
    worn = STORY.replace("outfit: a red coat", f"outfit: a red coat, lora: {file.name}")
    (tmp_path / "story.yaml").write_text(worn)
    run(out="worn")
    plain, other = (written(tmp_path / name) for name in ("plain", "worn"))
    assert other["frames/01-dawn.png"] != plain["frames/01-dawn.png"]
    assert manifest(tmp_path / "worn")[2]["plan"]["styles"] == []
    run("--alone", out="alone")
    assert all(frame["plan"]["styles"] == [] for frame in manifest(tmp_path / "alone"))
    save_tiny_style(tiny_folder, file, "mika", 4, 4)
    capsys.readouterr()
    run("--list", out="worn")
    assert "3 of 3 frames are stale" in capsys.readouterr().err


def test_what_was_learned_on_another_model_is_refused_by_its_name(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mika.safetensors").write_bytes(b"nothing")
    worn = STORY.replace("outfit: a red coat", "outfit: a red coat, lora: mika.safetensors")
    (tmp_path / "story.yaml").write_text(worn)
    assert run() == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "frames.dawn.mika.safetensors: is not a safetensors file" in said


def test_another_seed_is_another_story(run: Run, tmp_path: Path) -> None:
    run(out="one")
    run("--seed", "9", out="two")
    one, two = written(tmp_path / "one"), written(tmp_path / "two")
    assert one["frames/01-dawn.png"] != two["frames/01-dawn.png"]


def test_a_bad_frame_is_one_line_on_the_terminal(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "story.yaml").write_text(STORY.replace("wide shot", "huge"))
    assert run() == 1
    said = " ".join(capsys.readouterr().err.split())
    assert said.startswith("serving failed: frames.dusk.camera.shot: Input should be")


@pytest.mark.parametrize("encoder_of", [image_encoder, looks_encoder])
def test_the_bundles_encoders_score_a_picture_against_itself_with_one(
    guided_bundle: Bundle, encoder_of: Callable[[Engine], EngineEncoder | None]
) -> None:
    engine, shelf = OnnxEngine(guided_bundle, threads=1), PictureShelf()
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    name = shelf.put(png(picture))
    member = CastMember(words={}, pictures={Facet.IDENTITY: (name,)})
    frame = {"name": "a", "characters": {"mika": {}}}
    board = Storyboard.model_validate(
        {"title": "t", "characters": {"mika": member}, "frames": [frame]}
    )
    (compiled,) = compile_storyboard(board, lambda _: None, "r", {})
    encoder = encoder_of(engine)
    assert encoder is not None
    scores = FrameLikeness(encoder, board, shelf)
    assert scores(compiled.shot, picture)["mika"] == pytest.approx(1, abs=1e-4)
    assert scores(compiled.shot, 255 - picture)["mika"] < 1
    assert len(encoder.hash) == 64
    seen = encoder.embed(squared(picture, encoder.size)[None])
    assert seen.shape == (1, encoder.dimension)
    engine.close()
