"""What callers say of characters, and the pictures that come with it."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

from fastapi import UploadFile
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from luciole.domain import InvalidRequest
from luciole.domain.character import Box, CharacterName, Consent, Facet
from luciole.domain.guides import PictureName
from luciole.domain.request import Words
from serving.gateway.assets.uploads import inspect
from serving.gateway.errors import fault
from serving.gateway.parts import Parts
from serving.orchestration.characters.crops import GivenPicture
from serving.storage.columns import now

MOST_PICTURES = 32


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PictureForm(_Form):
    """An asset, or without `sha256` the next file that is sent along; and what it shows."""

    sha256: PictureName | None = None
    facet: Facet = Facet.IDENTITY
    box: Box | None = None
    """The part that counts, in pixels; all of it without one."""


class ConsentForm(_Form):
    """Why this character may be drawn; given now unless it says when."""

    basis: Annotated[str, StringConstraints(pattern="^(fictional|self|granted)$")]
    given_by: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    given_at: AwareDatetime | None = None

    def given(self) -> Consent:
        """As the domain keeps it."""
        known = {"basis": self.basis, "given_by": self.given_by}
        return Consent.model_validate(known | {"given_at": self.given_at or now()})


class CharacterForm(_Form):
    """A new character: words and pictures by facet, and the consent to draw it."""

    name: CharacterName
    words: dict[Facet, Words] = {}
    pictures: Annotated[list[PictureForm], Field(max_length=MOST_PICTURES)] = []
    consent: ConsentForm


class ChangeForm(_Form):
    """What is given replaces what was, facet by facet."""

    name: CharacterName | None = None
    words: dict[Facet, Words] | None = None
    pictures: Annotated[list[PictureForm] | None, Field(min_length=1, max_length=MOST_PICTURES)] = (
        None
    )


class SearchForm(_Form):
    """Somebody described in words or shown in a picture, one of the two."""

    words: Annotated[str, StringConstraints(min_length=1, max_length=1000)] | None = None
    picture: PictureName | None = None
    box: Box | None = None
    count: Annotated[int, Field(ge=1, le=50)] = 10


def card_of(said: str) -> CharacterForm:
    """The JSON that comes with files; InvalidRequest."""
    try:
        return CharacterForm.model_validate_json(said)
    except ValidationError as error:
        raise fault(error, {}) from None


async def files_of(uploads: Sequence[UploadFile], parts: Parts) -> list[bytes]:
    """Pictures that can be decoded; InvalidRequest, TooLarge, Unprocessable."""
    if len(uploads) > MOST_PICTURES:
        raise InvalidRequest("pictures", f"are {len(uploads)}; a character takes {MOST_PICTURES}")
    files = [await upload.read() for upload in uploads]
    for number, content in enumerate(files):
        most = parts.settings.upload_pixels
        await asyncio.to_thread(inspect, content, most, f"pictures.{number}")
    return files


async def pictures_of(
    parts: Parts, tenant: str, forms: Sequence[PictureForm], files: Sequence[bytes] = ()
) -> list[GivenPicture]:
    """The tenant's own assets and the uploads; files that no entry speaks of show the identity."""
    waiting = list(files)
    await parts.shelf.check(tenant, [form.sha256 for form in forms if form.sha256])
    given = []
    for number, form in enumerate(forms):
        if form.sha256 is not None:
            content = await content_of(parts, tenant, form.sha256)
        elif waiting:
            content = waiting.pop(0)
        else:
            raise InvalidRequest(f"pictures.{number}", "names no asset, and no file is left for it")
        given.append(GivenPicture(content, form.facet, form.box))
    given += [GivenPicture(content) for content in waiting]
    if len(given) > MOST_PICTURES:
        raise InvalidRequest("pictures", f"are {len(given)}; a character takes {MOST_PICTURES}")
    return given


async def content_of(parts: Parts, tenant: str, sha256: str) -> bytes:
    """The bytes of one of the tenant's assets; NotFound."""
    return await parts.shelf.content(await parts.shelf.find(tenant, sha256))
