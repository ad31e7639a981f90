"""A character as one file: a ZIP with `character.json` and the pictures that it names."""

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from luciole.domain import InvalidRequest
from luciole.domain.character import Box, Character, CharacterName, Consent, Facet
from luciole.domain.guides import PictureName
from luciole.domain.request import Words
from serving.orchestration.characters.crops import GivenPicture
from serving.orchestration.pictures import name_of

FORMAT = 1
CARD = "character.json"
MOST_BYTES = 64 * 2**20
"""Of all members together, unpacked."""
_CARD_BYTES = 2**20
_MADE = (2000, 1, 1, 0, 0, 0)
"""The same character is the same file, whenever it is written."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PackedReference(_Record):
    """A picture of the package, the part that counts, and its facet."""

    picture: PictureName
    box: Box
    facet: Facet


class Card(_Record):
    """What `character.json` holds. Embeddings are not in it: the reader's encoder makes its own."""

    format: Annotated[int, Field(ge=1)]
    name: CharacterName
    words: dict[Facet, Words]
    references: Annotated[tuple[PackedReference, ...], Field(min_length=1, max_length=32)]
    consent: Consent
    made_by: Annotated[str, StringConstraints(max_length=100)] = "luciole"


@dataclass(frozen=True)
class Package:
    """A package that was read and found whole."""

    card: Card
    pictures: tuple[GivenPicture, ...]


def pack(character: Character, file: Callable[[str], bytes]) -> bytes:
    """The file of a character; `file` gives the bytes of a picture by its name."""
    references = tuple(
        PackedReference(picture=one.picture, box=one.box, facet=one.facet)
        for one in character.references
    )
    card = Card(
        format=FORMAT,
        name=character.name,
        words=character.words,
        references=references,
        consent=character.consent,
    )
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(CARD, _MADE), card.model_dump_json(indent=1))
        for name in dict.fromkeys(one.picture for one in references):
            archive.writestr(zipfile.ZipInfo(_member(name), _MADE), file(name))
    return target.getvalue()


def unpack(content: bytes) -> Package:
    """Read a package in memory; nothing is written, no name of it is ever a path.

    InvalidRequest names the member that is missing, too large, altered or of no use.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _read(archive)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise InvalidRequest("package", "is no readable ZIP file") from error


def _read(archive: zipfile.ZipFile) -> Package:
    sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    if len(sizes) != len(archive.infolist()):
        raise InvalidRequest("package", "holds a member twice")
    if sum(sizes.values()) > MOST_BYTES:
        raise InvalidRequest("package", f"holds more than {MOST_BYTES >> 20} MiB")
    card = _card(_bytes(archive, CARD, _CARD_BYTES))
    needed = {_member(one.picture): one.picture for one in card.references}
    for extra in sizes.keys() - needed.keys() - {CARD}:
        raise InvalidRequest(f"package.{extra[:100]}", "is named by no reference")
    files = {name: _picture(archive, member, name) for member, name in needed.items()}
    given = tuple(
        GivenPicture(files[one.picture], facet=one.facet, box=one.box) for one in card.references
    )
    return Package(card, given)


def _card(content: bytes) -> Card:
    try:
        card = Card.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, (CARD, *first["loc"])))
        raise InvalidRequest(f"package.{place}", first["msg"]) from error
    if card.format != FORMAT:
        raise InvalidRequest(f"package.{CARD}", f"has format {card.format}, this reads {FORMAT}")
    return card


def _picture(archive: zipfile.ZipFile, member: str, name: str) -> bytes:
    content = _bytes(archive, member, MOST_BYTES)
    if name_of(content) != name:
        raise InvalidRequest(f"package.{member}", "was altered: it does not match its hash")
    return content


def _bytes(archive: zipfile.ZipFile, member: str, most: int) -> bytes:
    """A member, and never more of it than it may have, whatever its header says."""
    try:
        with archive.open(member) as opened:
            content = opened.read(most + 1)
    except KeyError:
        raise InvalidRequest(f"package.{member}", "is missing") from None
    if len(content) > most:
        raise InvalidRequest(f"package.{member}", f"is larger than {most:,} bytes")
    return content


def _member(name: str) -> str:
    return f"pictures/{name}"
