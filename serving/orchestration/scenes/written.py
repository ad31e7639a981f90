"""Storyboards as people write them: YAML files with pictures beside them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from luciole.domain import InvalidRequest, StyleUse
from luciole.domain.character import CharacterName, Facet
from luciole.domain.guides import Weight
from luciole.domain.request import Words
from luciole.domain.storyboard import CastMember, Storyboard
from serving.orchestration.characters.crops import cut
from serving.orchestration.characters.package import unpack
from serving.orchestration.pictures import PictureShelf, decode
from serving.orchestration.scenes.learned import Learned

MOST_BYTES = 2_000_000


class WrittenCharacter(BaseModel):
    """A character's words and picture files by facet; paths begin at the storyboard's folder.

    `package` is a file that the character memory exported; what is written here goes before it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    identity: Words = ""
    outfit: Words = ""
    palette: Words = ""
    pose: Words = ""
    pictures: dict[Facet, Annotated[tuple[Path, ...], Field(min_length=1)]] = {}
    package: Path | None = None
    lora: Path | None = None
    """A file that was trained on the character."""
    lora_alone: bool = False
    """Whether it is left off in frames with others."""
    weight: Weight = 1.0
    """How strongly its pictures guide; at 0 they only tell how alike a drawing is."""

    @property
    def words(self) -> dict[Facet, str]:
        """What was said, by facet."""
        return {facet: said for facet in Facet if (said := getattr(self, facet.value))}


_CAST: TypeAdapter[dict[CharacterName, WrittenCharacter]] = TypeAdapter(
    dict[CharacterName, WrittenCharacter]
)


def read_storyboard(file: Path, shelf: PictureShelf, learned: Learned) -> Storyboard:
    """The storyboard of a file, its characters' pictures put on the shelf, their LoRA in `learned`.

    InvalidRequest names the frame and the field that are wrong, such as
    `frames.rooftop.camera.shot`.
    """
    written = _parsed(file)
    if not isinstance(written, dict):
        raise InvalidRequest(file.name, "must say `title:` and `frames:`")
    characters = written.pop("characters", {})
    try:
        cast = _CAST.validate_python(characters)
    except ValidationError as error:
        raise mistake(error, {}, "characters") from error
    members = {name: _member(file.parent, name, one, shelf, learned) for name, one in cast.items()}
    try:
        return Storyboard.model_validate({**written, "characters": members})
    except ValidationError as error:
        raise mistake(error, written) from error


def _parsed(file: Path) -> Any:
    try:
        if file.stat().st_size > MOST_BYTES:
            raise InvalidRequest(file.name, f"is larger than {MOST_BYTES:,} bytes")
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidRequest(str(file), f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(file.name, "is not UTF-8 text") from error
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        where = f"line {place.line + 1}: " if place else ""
        problem = getattr(error, "problem", None) or "cannot be parsed"
        raise InvalidRequest(file.name, f"{where}is not YAML: {problem}") from error


def _member(
    folder: Path, name: str, written: WrittenCharacter, shelf: PictureShelf, learned: Learned
) -> CastMember:
    packed = CastMember(words={})
    if written.package is not None:
        packed = _packed(f"characters.{name}.package", folder / written.package, shelf)
    pictures = dict(packed.pictures)
    for facet, files in written.pictures.items():
        field = f"characters.{name}.pictures.{facet}"
        pictures[facet] = tuple(
            _put(field, _content(field, folder / file), shelf) for file in files
        )
    lora = None
    if written.lora is not None:
        lora = StyleUse(name=learned.put(f"characters.{name}.lora", folder / written.lora))
    words = {**packed.words, **written.words}
    return CastMember(
        words=words,
        pictures=pictures,
        lora=lora,
        lora_alone=written.lora_alone,
        weight=written.weight,
    )


def _packed(field: str, file: Path, shelf: PictureShelf) -> CastMember:
    """The words of a package, and the parts of its pictures that count."""
    try:
        package = unpack(_content(field, file))
        cuts = [(one.facet, cut(field, one)) for one in package.pictures]
    except InvalidRequest as error:
        raise InvalidRequest(field, error.message) from error
    pictures: dict[Facet, tuple[str, ...]] = {}
    for facet, content in cuts:
        pictures[facet] = (*pictures.get(facet, ()), shelf.put(content))
    return CastMember(words=package.card.words, pictures=pictures)


def _put(field: str, content: bytes, shelf: PictureShelf) -> str:
    decode(field, content)
    return shelf.put(content)


def _content(field: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidRequest(field, f"{file.name} cannot be read: {error.strerror}") from error


def mistake(error: ValidationError, written: Mapping[str, Any], *above: str) -> InvalidRequest:
    """The first one, with a frame's name where pydantic has its number."""
    first = error.errors()[0]
    place = [*above, *first["loc"]]
    frames = written.get("frames")
    if len(place) > 1 and place[0] == "frames" and isinstance(place[1], int):
        frame = frames[place[1]] if isinstance(frames, list) else None
        name = frame.get("name") if isinstance(frame, dict) else None
        place[1] = name if isinstance(name, str) else place[1]
    return InvalidRequest(".".join(map(str, place)), first["msg"])
