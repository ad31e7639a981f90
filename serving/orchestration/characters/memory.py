"""Makes characters, changes them, finds them again, and forgets them."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from luciole.cells import Direction, Names
from luciole.domain import InvalidRequest
from luciole.domain.character import Box, Character, Consent, Embedding, Facet, Reference
from serving.orchestration.characters import records
from serving.orchestration.characters.crops import GivenPicture, Looked, embed, look
from serving.orchestration.characters.encoder import Embeddings, Encoder
from serving.orchestration.characters.errors import CharacterNameTaken, CharacterNotFound
from serving.orchestration.characters.indexes import Indexes
from serving.orchestration.characters.package import pack, unpack
from serving.orchestration.pictures import decode
from serving.storage.columns import new_id
from serving.storage.database import READING
from serving.storage.objects import Objects
from serving.storage.writing import storage_errors

NEAR = 0.9
"""Cosine from which two characters are pointed out as perhaps the same. For pocket's image encoder
one pair of different people in a thousand is above 0.83; a picture saved anew stays at 0.99."""


@dataclass(frozen=True)
class Found:
    """A character and how well it fits what was asked: 1 is perfect."""

    character: Character
    score: float


@dataclass(frozen=True)
class Remembered:
    """A character as it was saved, and those that look almost the same."""

    character: Character
    near: tuple[Found, ...]


class CharacterMemory:
    """SQL is the truth and the index a help: whatever the index says is looked up in SQL.

    What another process made is found at once, and what it deleted is not. Safe to call from
    several threads; every method blocks.
    """

    def __init__(
        self, database: Engine, objects: Objects, encoder: Encoder, folder: Path, near: float = NEAR
    ) -> None:
        self._database, self._objects, self._encoder = database, objects, encoder
        self._near = near
        self._indexes = Indexes(database, folder, encoder.hash, encoder.dimension)
        self._lock = threading.RLock()

    def create(
        self,
        tenant: str,
        name: str,
        words: Mapping[Facet, str],
        pictures: Sequence[GivenPicture],
        consent: Consent,
    ) -> Remembered:
        """A new character; InvalidRequest names the picture that is no good, CharacterNameTaken."""
        looked = look(pictures, self._encoder)
        character = Character(
            id=new_id("character"),
            name=name,
            version=1,
            words=dict(words),
            references=looked.references,
            embedding=self._mean(looked.references, looked.embeddings),
            consent=consent,
        )
        return self._save(tenant, character, looked)

    def change(
        self,
        tenant: str,
        character: str,
        *,
        name: str | None = None,
        words: Mapping[Facet, str] | None = None,
        pictures: Sequence[GivenPicture] | None = None,
    ) -> Remembered:
        """The next version: what is given replaces what was, facet by facet.

        `pictures` replace the references of the facets that they show; the others stay.
        """
        before = self.get(tenant, character)
        looked = self._again(before)
        if pictures is not None:
            shown = {picture.facet for picture in pictures}
            looked = looked.without(shown).and_also(look(pictures, self._encoder))
        after = Character(
            id=before.id,
            name=before.name if name is None else name,
            version=before.version + 1,
            words={**before.words, **(words or {})},
            references=looked.references,
            embedding=self._mean(looked.references, looked.embeddings),
            consent=before.consent,
        )
        return self._save(tenant, after, looked)

    def restore(self, tenant: str, character: str, version: int) -> Remembered:
        """The next version, the same as an older one: going back adds."""
        before = self.get(tenant, character)
        with self._reading() as connection:
            document = records.version(connection, tenant, character, version)
        document["version"] = before.version + 1
        old = Character(**document, embedding=before.embedding)
        looked = self._again(old)
        embedding = self._mean(looked.references, looked.embeddings)
        return self._save(tenant, old.model_copy(update={"embedding": embedding}), looked)

    def version(self, tenant: str, character: str, number: int) -> Character:
        """As it was, with the embedding of now; CharacterNotFound."""
        now = self.get(tenant, character)
        with self._reading() as connection:
            document = records.version(connection, tenant, character, number)
        return Character(**document, embedding=now.embedding)

    def versions(self, tenant: str, character: str) -> list[Character]:
        """All of them, the newest first; CharacterNotFound."""
        now = self.get(tenant, character)
        with self._reading() as connection:
            documents = records.versions(connection, tenant, character)
        return [Character(**document, embedding=now.embedding) for document in documents]

    def get(self, tenant: str, character: str) -> Character:
        """The newest version; CharacterNotFound."""
        with self._reading() as connection:
            return records.find(connection, tenant, character)

    def named(self, tenant: str, name: str) -> Character:
        """By exactly this name; CharacterNotFound."""
        with self._reading() as connection:
            return records.named(connection, tenant, name)

    def listed(self, tenant: str, after: str = "", limit: int = 50) -> list[Character]:
        """By name; `after` is the last name of the page before."""
        with self._reading() as connection:
            return records.listed(connection, tenant, after, limit)

    def by_words(self, tenant: str, text: str, count: int = 10) -> list[Found]:
        """Such as 'the red-haired one with the blue coat', the best first."""
        with self._reading() as connection:
            found = records.described(connection, tenant, text, count)
        return [Found(character, score) for character, score in found]

    def by_picture(
        self, tenant: str, content: bytes, box: Box | None = None, count: int = 10
    ) -> list[Found]:
        """Who looks most like the picture or a part of it; InvalidRequest if it is none."""
        looked = look([GivenPicture(content, box=box)], self._encoder)
        return self._like(tenant, looked.embeddings[0], count)

    def near_duplicates(self, tenant: str, character: Character) -> tuple[Found, ...]:
        """Others that look almost the same, the nearest first."""
        direction = np.array(character.embedding.values, np.float32)
        found = self._like(tenant, direction, 6)
        return tuple(
            one for one in found if one.score >= self._near and one.character.id != character.id
        )

    def pack(self, tenant: str, character: str) -> bytes:
        """The character as one file."""
        return pack(self.get(tenant, character), self.file)

    def unpack(self, tenant: str, content: bytes, name: str | None = None) -> Remembered:
        """A new character from such a file, under its own name or another; InvalidRequest."""
        package = unpack(content)
        card = package.card
        return self.create(tenant, name or card.name, card.words, package.pictures, card.consent)

    def pictures(self, tenant: str, character: str) -> tuple[frozenset[str], frozenset[str]]:
        """The hashes of all that any version was made of, and of what nothing else needs."""
        with self._reading() as connection:
            records.find(connection, tenant, character)
            return records.pictures(connection, tenant, character)

    def delete(self, tenant: str, character: str) -> None:
        """Rows, versions, index entry and files that nobody else needs; CharacterNotFound."""
        with self._lock:
            self._ready(tenant)
            with storage_errors(), self._database.begin() as connection:
                removed = records.remove(connection, tenant, character)
            self._indexes.remove(tenant, character, removed.revision)
            for sha256, extension in removed.files:
                self._objects.delete(sha256, extension)

    def rebuild(self, tenant: str) -> int:
        """Make the index again from SQL alone; its size."""
        with self._lock:
            self._embed_unseen(tenant)
            return self._indexes.rebuild(tenant)

    def close(self) -> None:
        """Write every index; the next start then has nothing to catch up with."""
        with self._lock:
            self._indexes.close()

    def picture(self, reference: Reference) -> bytes:
        """The file of a reference's crop; InvalidRequest if it is gone from the store."""
        return self.file(reference.crop)

    def file(self, sha256: str) -> bytes:
        """A file that some character needs."""
        with self._reading() as connection:
            extension = records.extension(connection, sha256)
        content = self._objects.get(sha256, extension) if extension else None
        if content is None:
            raise InvalidRequest("references", f"the picture {sha256[:12]}... is gone")
        return content

    def _save(self, tenant: str, character: Character, looked: Looked) -> Remembered:
        """Files first, then the rows in one transaction, then the index."""
        for file in looked.files:
            self._objects.put(file.content, file.kept.extension, file.kept.mime)
        kept = [file.kept for file in looked.files]
        with self._lock:
            self._ready(tenant)
            try:
                with storage_errors(), self._database.begin() as connection:
                    revision = records.save(connection, tenant, character, kept, looked.embeddings)
            except IntegrityError as error:
                with suppress(CharacterNotFound):
                    if self.named(tenant, character.name).id != character.id:
                        words = f"another process just took {character.name!r}; choose another"
                        raise CharacterNameTaken("name", words) from error
                raise
            self._indexes.add(tenant, character, revision)
        return Remembered(character, self.near_duplicates(tenant, character))

    def _like(self, tenant: str, direction: Direction, count: int) -> list[Found]:
        encoder = self._encoder.hash
        with self._lock, self._reading() as connection:
            self._ready(tenant)
            index = self._indexes.now(connection, tenant)

            def exact(names: Names) -> Embeddings:
                numbers, length = names.tolist(), len(direction)
                return records.directions(connection, tenant, encoder, numbers, length)

            nearest = dict(index.search(direction, count, exact))
            ids = records.ids_of(connection, tenant, list(nearest))
            known = records.several(connection, tenant, list(ids.values()))
        return [Found(known[ids[number]], cosine) for number, cosine in nearest.items()]

    def _ready(self, tenant: str) -> None:
        """Open the tenant's index when it is first needed."""
        if not self._indexes.holds(tenant):
            self._embed_unseen(tenant)
            self._indexes.open(tenant)

    def _embed_unseen(self, tenant: str) -> None:
        """Characters of another encoder get directions of this one, and no new version."""
        with self._reading() as connection:
            unseen = records.unseen(connection, tenant, self._encoder.hash)
        for character in unseen:
            known = self.get(tenant, character)
            looked = self._again(known)
            embedding = self._mean(looked.references, looked.embeddings)
            with storage_errors(), self._database.begin() as connection:
                records.reembed(connection, tenant, known, embedding, looked.embeddings)

    def _again(self, character: Character) -> Looked:
        """Look once more at what a character already has."""
        crops = [decode("references", self.picture(one)) for one in character.references]
        return Looked(character.references, embed(crops, self._encoder), ())

    def _mean(self, references: Sequence[Reference], embeddings: Embeddings) -> Embedding:
        """Of the identity; of everything where no reference shows that."""
        shows = [one.facet is Facet.IDENTITY for one in references]
        chosen = embeddings[shows] if any(shows) else embeddings
        mean = chosen.mean(axis=0)
        unit = mean / np.linalg.norm(mean)
        return Embedding(encoder=self._encoder.hash, values=tuple(unit.tolist()))

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with storage_errors(), self._database.connect() as connection:
            yield connection.execution_options(**READING)
