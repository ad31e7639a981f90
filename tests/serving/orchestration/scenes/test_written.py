"""Storyboards as files, the good ones and the bad ones."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from luciole.domain import InvalidRequest, StyleUse
from luciole.domain.character import Facet
from luciole.domain.shots import shots
from serving.orchestration.pictures import PictureShelf, name_of
from serving.orchestration.scenes.learned import Learned
from serving.orchestration.scenes.written import read_storyboard

EXAMPLES = Path(__file__).parents[4] / "docs" / "storyboards"
FRAMES = "title: t\nframes:\n- name: dawn\n"


def read(folder: Path, text: str) -> object:
    file = folder / "story.yaml"
    file.write_text(text)
    return read_storyboard(file, PictureShelf(), Learned())


@pytest.mark.parametrize(("name", "frames", "people"), [("walk", 6, 1), ("friends", 12, 2)])
def test_the_examples_are_read_and_resolved(name: str, frames: int, people: int) -> None:
    board = read_storyboard(EXAMPLES / f"{name}.yaml", PictureShelf(), Learned())
    assert len(shots(board)) == frames
    assert len(board.characters) == people


def test_pictures_lie_beside_the_file_and_are_named_by_their_hash(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(tmp_path / "mika.png")
    text = "characters:\n  mika:\n    identity: a girl\n    pictures: {identity: [mika.png]}\n"
    (tmp_path / "story.yaml").write_text(text + FRAMES)
    shelf = PictureShelf()
    board = read_storyboard(tmp_path / "story.yaml", shelf, Learned())
    (name,) = board.characters["mika"].pictures[Facet.IDENTITY]
    assert name == name_of((tmp_path / "mika.png").read_bytes())
    assert shelf.open(name).shape == (20, 20, 3)


def test_what_was_learned_lies_beside_the_file_and_is_named_by_its_hash(tmp_path: Path) -> None:
    (tmp_path / "mika.safetensors").write_bytes(b"weights")
    text = "characters: {mika: {identity: a girl, lora: mika.safetensors}}\n"
    (tmp_path / "story.yaml").write_text(text + FRAMES)
    learned = Learned()
    board = read_storyboard(tmp_path / "story.yaml", PictureShelf(), learned)
    lora = board.characters["mika"].lora
    assert lora == StyleUse(name=name_of(b"weights"))
    assert learned.file(lora.name) == tmp_path / "mika.safetensors"


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        (f"{FRAMES}  camera: {{shot: huge}}\n", "frames.dawn.camera.shot", "extreme close-up"),
        (f"{FRAMES}  colour: red\n", "frames.dawn.colour", "not permitted"),
        (f"{FRAMES}- camera: {{}}\n", "frames.1.name", "required"),
        (
            f"{FRAMES}- name: b\n  inherits: [{{latent: {{begin: 0.6, end: 0.2}}}}]\n",
            "frames.b.inherits.0.latent",
            "before end",
        ),
        ("title: t\n", "frames", "required"),
        ("- a\n", "story.yaml", "title"),
        ("title: [\n", "story.yaml", "line 2"),
        (
            f"characters: {{mika: {{pictures: {{identity: [no.png]}}}}}}\n{FRAMES}",
            "characters.mika.pictures.identity",
            "no.png cannot be read",
        ),
        (
            f"characters: {{mika: {{pictures: {{identity: [story.yaml]}}}}}}\n{FRAMES}",
            "characters.mika.pictures.identity",
            "no readable picture",
        ),
        (
            f"characters: {{mika: {{lora: no.safetensors}}}}\n{FRAMES}",
            "characters.mika.lora",
            "no.safetensors cannot be read",
        ),
        (f"characters: {{mika: {{hat: red}}}}\n{FRAMES}", "characters.mika.hat", "not permitted"),
    ],
)
def test_a_mistake_names_the_frame_and_the_field(
    text: str, field: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(tmp_path, text)
    assert caught.value.field == field
    assert words in caught.value.message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"nowhere\.yaml: cannot be read"):
        read_storyboard(tmp_path / "nowhere.yaml", PictureShelf(), Learned())
