"""Characters as rows: SQL is the truth, and every query names its tenant."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    case,
    delete,
    false,
    func,
    insert,
    or_,
    select,
    update,
)

from luciole.domain import InvalidRequest
from luciole.domain.character import Character, Embedding, Facet
from serving.orchestration.characters.changes import (
    DIGITS,
    Indexed,
    next_revision,
    note_removal,
    number_of,
)
from serving.orchestration.characters.encoder import Embeddings
from serving.orchestration.characters.errors import CharacterNameTaken, CharacterNotFound
from serving.orchestration.characters.traits import free_words, traits
from serving.storage.assets import File, release
from serving.storage.columns import new_id
from serving.storage.tables import (
    AssetRefRow,
    AssetRow,
    CharacterReferenceRow,
    CharacterRow,
    CharacterVersionRow,
)
from serving.storage.writing import insert_if_new

KIND = "character"
"""Of the references that characters hold on assets."""


@dataclass(frozen=True)
class Kept:
    """A picture file in the object store; `size` in bytes."""

    sha256: str
    size: int
    mime: str
    extension: str
    width: int
    height: int


@dataclass(frozen=True)
class Removed:
    """Hash and extension of every file that nobody needs any more, and the number of the change."""

    files: list[File]
    revision: int


def save(
    connection: Connection,
    tenant: str,
    character: Character,
    kept: Sequence[Kept],
    embeddings: Embeddings,
) -> int:
    """Write a new version: the first inserts, the next ones replace and keep what was.

    Returns the number of the change. `embeddings` are those of the references, in order.
    CharacterNameTaken within the tenant.
    """
    revision = next_revision(connection, tenant)
    taken = select(CharacterRow.id).where(
        CharacterRow.tenant == tenant,
        CharacterRow.name == character.name,
        CharacterRow.id != character.id,
    )
    if connection.execute(taken).first() is not None:
        raise CharacterNameTaken("name", f"there is a {character.name!r} already; choose another")
    values = {
        "name": character.name,
        "version": character.version,
        "revision": revision,
        "facets": {"words": dict(character.words), "traits": _traits(character)},
        "embedding": to_bytes(character.embedding.values),
        "encoder": character.embedding.encoder,
        "consent": character.consent.model_dump(mode="json"),
    }
    if character.version == 1:
        connection.execute(insert(CharacterRow).values(id=character.id, tenant=tenant, **values))
    else:
        chosen = update(CharacterRow).where(
            CharacterRow.tenant == tenant,
            CharacterRow.id == character.id,
            CharacterRow.version == character.version - 1,
        )
        if connection.execute(chosen.values(**values)).rowcount != 1:
            raise InvalidRequest("version", "somebody else changed it meanwhile; read it again")
    _save_references(connection, tenant, character, kept, embeddings)
    document = character.model_dump(mode="json", exclude={"embedding"})
    connection.execute(
        insert(CharacterVersionRow).values(
            character=character.id, version=character.version, tenant=tenant, document=document
        )
    )
    return revision


def _save_references(
    connection: Connection,
    tenant: str,
    character: Character,
    kept: Sequence[Kept],
    embeddings: Embeddings,
) -> None:
    for picture in kept:
        insert_if_new(connection, AssetRow, **picture.__dict__)
        insert_if_new(
            connection, AssetRefRow, sha256=picture.sha256, tenant=tenant, kind=KIND,
            owner=character.id,
        )  # fmt: skip
    mine = CharacterReferenceRow.character == character.id
    connection.execute(delete(CharacterReferenceRow).where(mine))
    for place, (reference, embedding) in enumerate(
        zip(character.references, embeddings, strict=True)
    ):
        box = reference.box
        connection.execute(
            insert(CharacterReferenceRow).values(
                id=new_id("reference"),
                tenant=tenant,
                character=character.id,
                position=place,
                asset_sha=reference.picture,
                facet=reference.facet,
                box=[box.left, box.top, box.right, box.bottom],
                embedding=np.asarray(embedding, "<f4").tobytes(),
                encoder=character.embedding.encoder,
            )
        )


def find(connection: Connection, tenant: str, character: str) -> Character:
    """The newest version; CharacterNotFound."""
    row = connection.execute(_newest(tenant).where(CharacterRow.id == character)).first()
    if row is None:
        raise CharacterNotFound("character", f"there is no {character!r}")
    return _character(row)


def named(connection: Connection, tenant: str, name: str) -> Character:
    """The character of exactly this name; CharacterNotFound."""
    row = connection.execute(_newest(tenant).where(CharacterRow.name == name)).first()
    if row is None:
        raise CharacterNotFound("name", f"nobody is called {name!r}")
    return _character(row)


def listed(
    connection: Connection, tenant: str, after: str = "", limit: int = 50
) -> list[Character]:
    """By name; `after` continues a page."""
    asked = _newest(tenant).where(CharacterRow.name > after).order_by(CharacterRow.name)
    return [_character(row) for row in connection.execute(asked.limit(limit))]


def several(connection: Connection, tenant: str, ids: Sequence[str]) -> dict[str, Character]:
    """Those that the tenant has, by id."""
    rows = connection.execute(_newest(tenant).where(CharacterRow.id.in_(ids)))
    return {row.id: _character(row) for row in rows}


def version(connection: Connection, tenant: str, character: str, number: int) -> dict[str, Any]:
    """The document of an older version; CharacterNotFound."""
    asked = select(CharacterVersionRow.document).where(
        CharacterVersionRow.tenant == tenant,
        CharacterVersionRow.character == character,
        CharacterVersionRow.version == number,
    )
    document = connection.execute(asked).scalar_one_or_none()
    if document is None:
        raise CharacterNotFound("version", f"{character!r} has no version {number}")
    return dict(document)


def versions(connection: Connection, tenant: str, character: str) -> list[dict[str, Any]]:
    """The documents of all versions, the newest first."""
    asked = (
        select(CharacterVersionRow.document)
        .where(CharacterVersionRow.tenant == tenant, CharacterVersionRow.character == character)
        .order_by(CharacterVersionRow.version.desc())
    )
    return [dict(document) for document in connection.scalars(asked)]


def described(
    connection: Connection, tenant: str, text: str, limit: int
) -> list[tuple[Character, float]]:
    """Who fits the words best, with the share of what was asked that fits.

    A trait that is known to be another one counts against; InvalidRequest if nothing was asked.
    """
    wanted = traits(text)
    free = free_words(text, wanted)
    if not wanted and not free:
        raise InvalidRequest("words", "say something about how the character looks")
    points = [_points(kind, value) for kind, value in wanted.items()] + [
        _says(word) for word in free
    ]
    score: ColumnElement[Any] = sum(points[1:], start=points[0])
    asked = (
        _newest(tenant)
        .add_columns(score.label("score"))
        .where(score > 0)
        .order_by(score.desc(), CharacterRow.name)
        .limit(limit)
    )
    return [(_character(row), row.score / len(points)) for row in connection.execute(asked)]


def pictures(
    connection: Connection, tenant: str, character: str
) -> tuple[frozenset[str], frozenset[str]]:
    """Every picture that any version was made of, and those that nothing else needs."""
    held = AssetRefRow.owner == character, AssetRefRow.kind == KIND, AssetRefRow.tenant == tenant
    every = frozenset(connection.execute(select(AssetRefRow.sha256).where(*held)).scalars())
    others = select(AssetRefRow.sha256).where(
        AssetRefRow.sha256.in_(every), AssetRefRow.owner != character
    )
    return every, every - set(connection.execute(others).scalars())


def remove(connection: Connection, tenant: str, character: str) -> Removed:
    """Delete the rows; CharacterNotFound."""
    revision = next_revision(connection, tenant)
    mine = (CharacterRow.tenant == tenant, CharacterRow.id == character)
    held = select(AssetRefRow.sha256).where(
        AssetRefRow.tenant == tenant, AssetRefRow.kind == KIND, AssetRefRow.owner == character
    )
    hashes = list(connection.execute(held).scalars())
    for table in (CharacterReferenceRow, CharacterVersionRow):
        connection.execute(
            delete(table).where(table.character == character, table.tenant == tenant)
        )
    if connection.execute(delete(CharacterRow).where(*mine)).rowcount == 0:
        raise CharacterNotFound("character", f"there is no {character!r}")
    connection.execute(
        delete(AssetRefRow).where(
            AssetRefRow.tenant == tenant, AssetRefRow.kind == KIND, AssetRefRow.owner == character
        )
    )
    files = release(connection, hashes)
    note_removal(connection, tenant, character, revision)
    return Removed(files, revision)


def directions(
    connection: Connection, tenant: str, encoder: str, numbers: Sequence[int], dimension: int
) -> Float32[np.ndarray, "n d"]:
    """The exact embeddings of characters, in order; zeros for one that is gone.

    One whose embedding another encoder made is as good as gone.
    """
    rows = [row for row in _rows(connection, tenant, numbers) if row.encoder == encoder]
    known = {number_of(row.id): row.embedding for row in rows}
    found = [np.frombuffer(known.get(one) or bytes(4 * dimension), "<f4") for one in numbers]
    return np.array(found, np.float32).reshape(len(numbers), dimension)


def ids_of(connection: Connection, tenant: str, numbers: Sequence[int]) -> dict[int, str]:
    """The ids behind the index's names, of those that are still there."""
    return {number_of(row.id): row.id for row in _rows(connection, tenant, numbers)}


def _rows(connection: Connection, tenant: str, numbers: Sequence[int]) -> list[Row[Any]]:
    """By ranges of ids, which their index answers."""
    starts = [f"character_{number:0{DIGITS}x}" for number in numbers]
    ranges = [CharacterRow.id.between(start, f"{start}g") for start in starts]
    asked = select(CharacterRow.id, CharacterRow.embedding, CharacterRow.encoder).where(
        CharacterRow.tenant == tenant, or_(false(), *ranges)
    )
    return list(connection.execute(asked))


def pages(connection: Connection, tenant: str, encoder: str, size: int) -> Iterator[list[Indexed]]:
    """Every character that one encoder has seen."""
    asked = (
        select(CharacterRow.id, CharacterRow.version, CharacterRow.embedding)
        .where(CharacterRow.tenant == tenant, CharacterRow.encoder == encoder)
        .order_by(CharacterRow.id)
        .limit(size)
    )
    last = ""
    while rows := connection.execute(asked.where(CharacterRow.id > last)).all():
        last = rows[-1].id
        yield [(number_of(row.id), row.version, row.embedding) for row in rows]


def count(connection: Connection, tenant: str) -> int:
    """Of a tenant's characters."""
    asked = select(func.count()).where(CharacterRow.tenant == tenant)
    return int(connection.execute(asked).scalar_one())


def unseen(connection: Connection, tenant: str, encoder: str) -> list[str]:
    """Characters whose embedding comes from another encoder."""
    asked = select(CharacterRow.id).where(
        CharacterRow.tenant == tenant, CharacterRow.encoder.is_distinct_from(encoder)
    )
    return list(connection.execute(asked).scalars())


def reembed(
    connection: Connection,
    tenant: str,
    character: Character,
    embedding: Embedding,
    embeddings: Embeddings,
) -> None:
    """Replace directions by those of another encoder, unless the character changed meanwhile."""
    revision = next_revision(connection, tenant)
    chosen = update(CharacterRow).where(
        CharacterRow.tenant == tenant,
        CharacterRow.id == character.id,
        CharacterRow.version == character.version,
    )
    values = {
        "embedding": to_bytes(embedding.values),
        "encoder": embedding.encoder,
        "revision": revision,
    }
    if connection.execute(chosen.values(**values, changed_at=CharacterRow.changed_at)).rowcount:
        again = character.model_copy(update={"embedding": embedding})
        _save_references(connection, tenant, again, (), embeddings)


def extension(connection: Connection, sha256: str) -> str | None:
    """Under which ending a file lies in the object store."""
    asked = select(AssetRow.extension).where(AssetRow.sha256 == sha256)
    return connection.execute(asked).scalar_one_or_none()


def to_bytes(values: Sequence[float]) -> bytes:
    """Little-endian float32."""
    return np.asarray(values, "<f4").tobytes()


def _newest(tenant: str) -> Select[Any]:
    return (
        select(
            CharacterRow.id,
            CharacterRow.embedding,
            CharacterRow.encoder,
            CharacterVersionRow.document,
        )
        .join(
            CharacterVersionRow,
            (CharacterVersionRow.character == CharacterRow.id)
            & (CharacterVersionRow.version == CharacterRow.version),
        )
        .where(CharacterRow.tenant == tenant)
    )


def _character(row: Row[Any]) -> Character:
    values = tuple(np.frombuffer(row.embedding, "<f4").tolist())
    embedding = Embedding(encoder=row.encoder, values=values)
    return Character(**row.document, embedding=embedding)


def _traits(character: Character) -> dict[str, str]:
    """All facets read as one text; the outfit's words are taken for clothes."""
    return traits(" , ".join(character.words.get(facet, "") for facet in Facet))


def _points(kind: str, value: str) -> ColumnElement[Any]:
    known = CharacterRow.facets[("traits", kind)].as_string()
    return case((known == value, 1.0), (known.is_not(None), -1.0), else_=0.0)


def _says(word: str) -> ColumnElement[Any]:
    """Whether a word of the name or of any facet begins so."""
    said = [CharacterRow.facets[("words", facet.value)].as_string() for facet in Facet]
    texts = [" " + func.lower(text) for text in (CharacterRow.name, *said)]
    return case((or_(*(text.like(f"% {word}%") for text in texts)), 1.0), else_=0.0)
