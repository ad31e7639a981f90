"""Who can be drawn again: a character's words, pictures and permission."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from luciole.domain.guides import PictureName
from luciole.domain.request import Words

CharacterName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=60, pattern=r"^[^\s/\\\x00-\x1f][^/\\\x00-\x1f]*$"),
]


class Facet(StrEnum):
    """What of a character can be kept or changed by itself."""

    IDENTITY = "identity"
    OUTFIT = "outfit"
    PALETTE = "palette"
    POSE = "pose"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Box(_Record):
    """A part of a picture in pixels; `right` and `bottom` are just outside."""

    left: int = Field(ge=0)
    top: int = Field(ge=0)
    right: int = Field(ge=1)
    bottom: int = Field(ge=1)

    @model_validator(mode="after")
    def _holds_something(self) -> Self:
        if self.right <= self.left or self.bottom <= self.top:
            raise ValueError("is empty: right must be beyond left and bottom beyond top")
        return self


class Reference(_Record):
    """A picture of the character, the part of it that counts, and the facet it shows."""

    picture: PictureName
    crop: PictureName
    """The part as a picture of its own; the same as `picture` where the whole counts."""
    box: Box
    facet: Facet = Facet.IDENTITY


class Embedding(_Record):
    """A direction of length 1 in the space of one image encoder."""

    encoder: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    """The SHA-256 of what made it; directions of two encoders are never compared."""
    values: Annotated[tuple[float, ...], Field(min_length=1, max_length=4096)]


class Consent(_Record):
    """Why this character may be drawn: invented, the owner's own likeness, or by permission."""

    basis: Literal["fictional", "self", "granted"]
    given_by: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    given_at: datetime


class Character(_Record):
    """One version of a character; a change makes the next version and keeps this one."""

    id: Annotated[str, StringConstraints(pattern=r"^character_[0-9a-f]{32}$")]
    name: CharacterName
    version: int = Field(ge=1)
    words: dict[Facet, Words]
    """Such as identity 'a girl with long red hair', outfit 'a blue coat', pose 'walking'."""
    references: Annotated[tuple[Reference, ...], Field(min_length=1, max_length=32)]
    embedding: Embedding
    """The mean of the identity's references."""
    consent: Consent

    def pictures(self, facet: Facet) -> tuple[str, ...]:
        """The crops that show a facet."""
        return tuple(one.crop for one in self.references if one.facet is facet)
