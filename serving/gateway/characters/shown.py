"""Characters as callers see them."""

from collections.abc import Sequence
from typing import Self

from fastapi import Request
from pydantic import BaseModel

from luciole.domain.character import Box, Character, Consent, Facet
from serving.gateway.assets.shelf import Asset
from serving.gateway.parts import Parts
from serving.orchestration.characters.memory import Found, Remembered


class ReferenceShown(BaseModel):
    """A picture of a character; `url` opens the part that counts for a while."""

    picture: str
    crop: str
    box: Box
    facet: Facet
    url: str


class CharacterShown(BaseModel):
    """One version of a character."""

    id: str
    name: str
    version: int
    words: dict[Facet, str]
    references: list[ReferenceShown]
    consent: Consent

    @classmethod
    def of(
        cls, character: Character, files: dict[str, Asset], parts: Parts, request: Request
    ) -> Self:
        """With addresses that this caller reaches; a reference whose file is gone is left out."""
        references = [
            ReferenceShown(
                **one.model_dump(),
                url=parts.addresses.of(request, parts.shelf.path(files[one.crop])),
            )
            for one in character.references
            if one.crop in files
        ]
        known = character.model_dump(exclude={"references", "embedding"})
        return cls(**known, references=references)


class FoundCharacter(BaseModel):
    """A character and how well it fits: 1 is perfect."""

    character: CharacterShown
    score: float


class SavedCharacter(CharacterShown):
    """A character as it was saved, and others of the tenant that look almost the same."""

    near: list[FoundCharacter]


class CharacterPage(BaseModel):
    """Some characters by name, and where the next ones are."""

    items: list[CharacterShown]
    next_cursor: str | None


class VersionShown(BaseModel):
    """A version of a character, without its pictures."""

    version: int
    name: str
    words: dict[Facet, str]
    references: int


async def shown(
    characters: Sequence[Character], tenant: str, parts: Parts, request: Request
) -> list[CharacterShown]:
    """All of them, their files looked up at once."""
    crops = {one.crop for character in characters for one in character.references}
    files = await parts.shelf.several(tenant, crops)
    return [CharacterShown.of(one, files, parts, request) for one in characters]


async def found(
    matches: Sequence[Found], tenant: str, parts: Parts, request: Request
) -> list[FoundCharacter]:
    """The best first."""
    cards = await shown([one.character for one in matches], tenant, parts, request)
    return [
        FoundCharacter(character=card, score=round(one.score, 6))
        for card, one in zip(cards, matches, strict=True)
    ]


async def saved(
    remembered: Remembered, tenant: str, parts: Parts, request: Request
) -> SavedCharacter:
    """With the near duplicates."""
    [card] = await shown([remembered.character], tenant, parts, request)
    near = await found(remembered.near, tenant, parts, request)
    return SavedCharacter(**dict(card), near=near)
