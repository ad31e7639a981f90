"""What is known of captioned pictures, one after another, without their pixels."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

WHOLE = -1
"""As a length: from the offset to the file's end."""
_CAPTIONS = ("captions", "caption", "text")
_LICENCES = ("licence", "license")


@dataclass(frozen=True, slots=True)
class Record:
    """One picture of a set: its name in messages, what is said of it, and where its bytes are."""

    key: str
    captions: tuple[str, ...]
    file: str
    offset: int = 0
    length: int = WHOLE
    licence: str | None = None
    opt_out: bool = False
    repeats: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)


class Records(Protocol):
    """A set of pictures of one kind; reads nothing before it is asked to."""

    @property
    def name(self) -> str:
        """For messages and cards."""
        ...

    def version(self) -> str:
        """Differs whenever a file of the set has been written anew, or another one is meant."""
        ...

    def __iter__(self) -> Iterator[Record]:
        """All pictures in an order that stays; ValueError names what lacks file or caption."""
        ...

    def read(self, file: str, offset: int, length: int) -> bytes:
        """The bytes of one picture file, as its record says where."""
        ...


def described(fields: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A Record's captions, licence, opt_out and extra from fields as people name them.

    `text`, `caption` or `captions` (one wording or a list); `licence` or `license`; `opt_out`;
    all else is extra. `where` names file and line in the ValueError for missing or wrong fields.
    """
    rest = dict(fields)
    captions = [wordings for name in _CAPTIONS if (wordings := rest.pop(name, None)) is not None]
    if not captions:
        raise ValueError(f'{where}: no caption; give it a field "text"')
    licences = [licence for name in _LICENCES if (licence := rest.pop(name, None)) is not None]
    return {
        "captions": wordings_of(captions[0], where),
        "licence": str(licences[0]) if licences else None,
        "opt_out": _flag(rest.pop("opt_out", None), where),
        "extra": rest,
    }


def wordings_of(said: Any, where: str) -> tuple[str, ...]:
    """One wording or several, none of them blank."""
    wordings = (said,) if isinstance(said, str) else tuple(said)
    if not wordings or not all(isinstance(one, str) and one.strip() for one in wordings):
        raise ValueError(f"{where}: the caption is empty; say something or leave the picture out")
    return tuple(one.strip() for one in wordings)


def _flag(said: Any, where: str) -> bool:
    if said is None:
        return False
    if said in (True, False):  # 0 and 1 too
        return bool(said)
    raise ValueError(f"{where}: opt_out is {said!r}; it must be true or false")


def part_of(file: Path, offset: int, length: int) -> bytes:
    """Some bytes of a file."""
    with file.open("rb") as stream:
        stream.seek(offset)
        return stream.read(length)


def written(file: Path) -> str:
    """Size and times of a file: what changes when it is written anew."""
    state = file.stat()
    return f"{file}:{state.st_size}:{state.st_mtime_ns}:{state.st_ctime_ns}"
