"""A character travels as one file, and a bad file does no harm."""

import io
import json
import zipfile
from typing import Any

import pytest

from luciole.domain import InvalidRequest
from luciole.domain.character import Box, Facet
from serving.orchestration.characters.crops import GivenPicture
from serving.orchestration.characters.memory import CharacterMemory
from serving.orchestration.characters.package import unpack
from tests.serving.orchestration.characters.colours import CONSENT, drawing, given


@pytest.fixture
def packed(memory: CharacterMemory) -> bytes:
    box = Box(left=0, top=0, right=16, bottom=32)
    pictures = [*given(1), GivenPicture(drawing(2), Facet.OUTFIT, box)]
    made = memory.create("ours", "mika", {Facet.IDENTITY: "a girl"}, pictures, CONSENT)
    return memory.pack("ours", made.character.id)


def test_an_imported_character_is_the_same_but_for_its_id(
    memory: CharacterMemory, packed: bytes
) -> None:
    before = memory.named("ours", "mika")
    after = memory.unpack("theirs", packed).character
    assert after.id != before.id
    assert after.model_copy(update={"id": before.id}) == before
    assert memory.pack("theirs", after.id) == packed


def test_it_may_come_in_under_another_name(memory: CharacterMemory, packed: bytes) -> None:
    twin = memory.unpack("ours", packed, name="second")
    assert twin.character.name == "second"
    assert [one.character.name for one in twin.near] == ["mika"]


def repacked(packed: bytes, **changes: Any) -> bytes:
    """The package with members changed, added, or (None) left out; `card_` changes the card."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(packed)) as old, zipfile.ZipFile(target, "w") as new:
        members = {name: old.read(name) for name in old.namelist()}
        card = json.loads(members["character.json"])
        card |= {name[5:]: value for name, value in changes.items() if name.startswith("card_")}
        members["character.json"] = json.dumps(card).encode()
        members |= {name: value for name, value in changes.items() if not name.startswith("card_")}
        for name, content in members.items():
            if content is not None:
                new.writestr(name, content, zipfile.ZIP_DEFLATED)
    return target.getvalue()


def first_picture(packed: bytes) -> str:
    return zipfile.ZipFile(io.BytesIO(packed)).namelist()[1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"../../etc/passwd": b"x"}, "named by no reference"),
        ({"pickle.pkl": b"x"}, "named by no reference"),
        ({"character.json": None}, "character.json: is missing"),
        ({"character.json": b"{"}, "Invalid JSON"),
        ({"character.json": b" " * (2**20 + 1)}, "larger than"),
        ({"PICTURE": b"other"}, "does not match its hash"),
        ({"PICTURE": None}, "is missing"),
        ({"PICTURE": bytes(65 * 2**20)}, "holds more than 64 MiB"),
        ({"card_format": 9}, "has format 9"),
        ({"card_name": "../x"}, "character.json.name"),
        ({"card_code": "import os"}, "character.json.code"),
    ],
)
def test_a_bad_package_is_refused_and_leaves_nothing(
    changes: dict[str, Any], words: str, memory: CharacterMemory, packed: bytes
) -> None:
    named = {first_picture(packed) if name == "PICTURE" else name: v for name, v in changes.items()}
    with pytest.raises(InvalidRequest) as caught:
        memory.unpack("theirs", repacked(packed, **named))
    assert words in str(caught.value)
    assert str(caught.value).startswith("package")
    assert memory.listed("theirs") == []


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04" + bytes(40)])
def test_what_is_no_zip_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidRequest, match="package: is no readable ZIP file"):
        unpack(content)


def test_a_member_that_lies_about_its_size_is_refused(packed: bytes) -> None:
    bomb = bytearray(repacked(packed, **{"character.json": bytes(2**21)}))
    entry = bomb.rindex(b"PK\x01\x02", 0, bomb.rindex(b"character.json"))
    bomb[entry + 24 : entry + 28] = (100).to_bytes(4, "little")
    with pytest.raises(InvalidRequest):
        unpack(bytes(bomb))
