"""Characters are made, found, changed and forgotten; SQL is the truth."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete, func, insert, select, update

from luciole.domain import InvalidRequest
from luciole.domain.character import Box, Character, Facet
from serving.orchestration.characters import records
from serving.orchestration.characters.crops import GivenPicture
from serving.orchestration.characters.errors import CharacterNameTaken, CharacterNotFound
from serving.orchestration.characters.memory import CharacterMemory
from serving.orchestration.pictures import decode
from serving.storage.columns import new_id
from serving.storage.objects import Objects
from serving.storage.tables import AssetRefRow, AssetRow, CharacterRow, Row
from tests.serving.orchestration.characters.colours import CONSENT, Colours, drawing, given

Start = Callable[..., CharacterMemory]
WORDS = {Facet.IDENTITY: "a girl with long red hair", Facet.OUTFIT: "a blue coat"}


def make(
    memory: CharacterMemory, name: str = "mika", seed: int = 1, tenant: str = "ours"
) -> Character:
    return memory.create(tenant, name, WORDS, given(seed), CONSENT).character


def rows_with(database: Engine, value: str) -> list[str]:
    """Tables that hold a text anywhere."""
    found = []
    with database.connect() as connection:
        for table in Row.metadata.sorted_tables:
            rows = connection.execute(select(table)).all()
            found += [table.name for row in rows if value in str(tuple(row))]
    return found


def test_a_character_comes_back_as_it_was_made(memory: CharacterMemory, start: Start) -> None:
    made = make(memory)
    assert start().get("ours", made.id) == made
    assert start().named("ours", "mika") == made
    assert made.version == 1
    assert made.references[0].box == Box(left=0, top=0, right=32, bottom=32)
    assert memory.picture(made.references[0]) == drawing(1)


def test_the_embedding_is_the_mean_of_the_identitys_references(memory: CharacterMemory) -> None:
    one, two, dressed = (make(memory, str(seed), seed).embedding.values for seed in (1, 2, 3))
    pictures = [*given(1), *given(2), GivenPicture(drawing(3), Facet.OUTFIT)]
    both = memory.create("ours", "both", {}, pictures, CONSENT).character
    mean = [(a + b) / 2 for a, b in zip(one, two, strict=True)]
    length = sum(x * x for x in mean) ** 0.5
    assert both.embedding.values == pytest.approx([x / length for x in mean], abs=1e-6)
    assert sum(x * x for x in dressed) == pytest.approx(1)


def test_a_part_of_a_picture_counts_alone_and_is_kept_as_a_picture(
    memory: CharacterMemory,
) -> None:
    corner = Box(left=16, top=0, right=32, bottom=16)
    pictures = [GivenPicture(drawing(1), box=corner)]
    made = memory.create("ours", "mika", {}, pictures, CONSENT).character
    crop = decode("crop", memory.picture(made.references[0]))
    assert (crop == decode("whole", drawing(1))[:16, 16:]).all()
    assert memory.by_picture("ours", drawing(1), corner)[0].score == pytest.approx(1)


def test_the_nearest_by_picture_comes_first(memory: CharacterMemory) -> None:
    for seed in range(1, 30):
        make(memory, f"c{seed}", seed)
    found = memory.by_picture("ours", drawing(7, change=1), count=3)
    assert found[0].character.name == "c7"
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert len(found) == 3


def test_a_near_duplicate_is_pointed_out_and_a_stranger_is_not(memory: CharacterMemory) -> None:
    first = make(memory)
    twin = memory.create("ours", "twin", WORDS, given(1, change=1), CONSENT)
    stranger = memory.create("ours", "stranger", WORDS, given(2), CONSENT)
    assert [one.character for one in twin.near] == [first]
    assert twin.near[0].score > 0.97
    assert stranger.near == ()


def test_no_tenant_sees_anothers_characters(memory: CharacterMemory) -> None:
    made = make(memory)
    assert memory.by_picture("theirs", drawing(1)) == []
    assert memory.by_words("theirs", "red hair") == []
    assert memory.listed("theirs") == []
    twin = memory.create("theirs", "mika", WORDS, given(1), CONSENT)
    assert twin.near == ()
    for act in (memory.get, memory.delete, memory.pack):
        with pytest.raises(CharacterNotFound):
            act("theirs", made.id)
    with pytest.raises(CharacterNotFound):
        memory.change("theirs", made.id, name="ours now")
    assert memory.get("ours", made.id) == made


def test_a_name_is_given_once_in_a_tenant(memory: CharacterMemory) -> None:
    make(memory)
    with pytest.raises(CharacterNameTaken, match="choose another"):
        make(memory, seed=2)
    assert len(memory.listed("ours")) == 1


def test_a_name_that_another_process_takes_meanwhile_is_taken(
    memory: CharacterMemory, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = records.save

    def late(connection: Any, *args: Any) -> None:
        monkeypatch.setattr(records, "save", save)
        for _ in range(2):
            row = {"id": new_id("character"), "tenant": "ours", "name": "mika"}
            connection.execute(insert(CharacterRow).values(**row, facets={}, consent={}))

    make(start())
    monkeypatch.setattr(records, "save", late)
    with pytest.raises(CharacterNameTaken, match="another process"):
        make(memory, seed=2)


def test_characters_are_listed_by_name_in_pages(memory: CharacterMemory) -> None:
    for seed, name in enumerate("dbca", start=1):
        make(memory, name, seed)
    first = memory.listed("ours", limit=3)
    rest = memory.listed("ours", after=first[-1].name)
    assert [one.name for one in [*first, *rest]] == ["a", "b", "c", "d"]


def test_a_change_makes_a_version_and_going_back_adds_another(memory: CharacterMemory) -> None:
    made = make(memory)
    dressed = memory.change("ours", made.id, words={Facet.OUTFIT: "a green dress"}).character
    looks = memory.change("ours", made.id, pictures=given(2)).character
    back = memory.restore("ours", made.id, 1).character
    assert [one.version for one in (made, dressed, looks, back)] == [1, 2, 3, 4]
    assert dressed.words == {**WORDS, Facet.OUTFIT: "a green dress"}
    assert dressed.references == made.references
    assert back.model_copy(update={"version": 1}) == made
    assert memory.by_picture("ours", drawing(1))[0].score == pytest.approx(1)
    assert memory.by_picture("ours", drawing(2))[0].score < 0.97


def test_new_pictures_of_one_facet_leave_the_other_facets_alone(memory: CharacterMemory) -> None:
    pictures = [*given(1), GivenPicture(drawing(3), Facet.OUTFIT)]
    made = memory.create("ours", "mika", WORDS, pictures, CONSENT).character
    changed = memory.change(
        "ours", made.id, pictures=[GivenPicture(drawing(4), Facet.OUTFIT)]
    ).character
    assert changed.pictures(Facet.IDENTITY) == made.pictures(Facet.IDENTITY)
    assert changed.pictures(Facet.OUTFIT) != made.pictures(Facet.OUTFIT)
    assert changed.embedding.values == pytest.approx(made.embedding.values)


def test_two_changes_of_the_same_version_do_not_overwrite_each_other(
    memory: CharacterMemory, database: Engine
) -> None:
    made = make(memory)

    class Late(Colours):
        def embed(self, pictures):  # type: ignore[no-untyped-def]
            with database.begin() as connection:
                connection.execute(update(CharacterRow).values(version=2))
            return super().embed(pictures)

    memory._encoder = Late()
    with pytest.raises(InvalidRequest, match="version: somebody else changed it"):
        memory.change("ours", made.id, pictures=given(2))


def test_delete_removes_every_trace(
    memory: CharacterMemory, database: Engine, objects: Objects, tmp_path: Path
) -> None:
    kept = make(memory, "kept", 5)
    pictures = [
        GivenPicture(drawing(1), box=Box(left=0, top=0, right=16, bottom=32)),
        GivenPicture(drawing(2), Facet.OUTFIT),
    ]
    gone = memory.create("ours", "gone", WORDS, pictures, CONSENT).character
    memory.change("ours", gone.id, pictures=given(3))
    memory.close()
    names = {one.picture for one in gone.references} | {one.crop for one in gone.references}
    assert len(names) == 3
    assert memory.rebuild("ours") == 2
    assert rows_with(database, gone.id)

    memory.delete("ours", gone.id)

    assert rows_with(database, gone.id) == []
    assert [name for name in names if rows_with(database, name)] == []
    assert {one.sha256 for page in objects.pages() for one in page} == {kept.references[0].picture}
    (file,) = (tmp_path / "index").iterdir()
    held = file.read_bytes()
    assert int(gone.id.split("_")[1][:15], 16).to_bytes(8, "little") not in held
    assert int(kept.id.split("_")[1][:15], 16).to_bytes(8, "little") in held
    assert [one.character for one in memory.by_picture("ours", drawing(1))] == [kept]
    with pytest.raises(CharacterNotFound):
        memory.delete("ours", gone.id)


def test_a_picture_that_somebody_else_needs_outlives_the_character(
    memory: CharacterMemory, database: Engine, objects: Objects
) -> None:
    one, two = make(memory), make(memory, "two")
    memory.delete("ours", one.id)
    assert memory.picture(two.references[0]) == drawing(1)
    with database.begin() as connection:
        connection.execute(delete(AssetRefRow).where(AssetRefRow.kind == "character"))
        connection.execute(
            AssetRefRow.__table__.insert().values(
                sha256=two.references[0].picture, tenant="ours", kind="upload", owner="u"
            )
        )
    memory.delete("ours", two.id)
    assert sum(map(len, objects.pages())) == 1
    with database.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(AssetRow)) == 1


@pytest.mark.parametrize("harm", ["lost", "damaged", "old", "ahead"])
def test_the_index_is_made_again_from_sql(harm: str, start: Start, tmp_path: Path) -> None:
    first = start()
    made = [make(first, f"c{seed}", seed) for seed in range(1, 6)]
    if harm != "old":
        first.close()
    (file,) = (tmp_path / "index").iterdir() if harm != "old" else (None,)
    if file is not None and harm == "lost":
        file.unlink()
    if file is not None and harm == "damaged":
        file.write_bytes(file.read_bytes()[:200])
    if harm == "ahead":
        kept = file.read_bytes() if file else b""
        first.delete("ours", made.pop().id)
        first.change("ours", made[0].id, pictures=given(20))
        if file is not None:
            file.write_bytes(kept)
    second = start()
    expected = 20 if harm == "ahead" else 1
    found = second.by_picture("ours", drawing(expected), count=9)
    assert found[0].character.id == made[0].id
    assert found[0].score == pytest.approx(1)
    assert {one.character.id for one in found} == {one.id for one in made}
    assert second.rebuild("ours") == len(made)


def test_another_encoder_sees_every_character_anew_without_a_new_version(start: Start) -> None:
    first = start("a")
    made = make(first)
    make(first, "other", 2)
    first.close()
    second = start("b")
    found = second.by_picture("ours", drawing(1), count=1)[0]
    assert found.character.id == made.id
    assert found.character.version == 1
    assert found.score == pytest.approx(1)
    assert found.character.embedding.encoder == Colours("b").hash != made.embedding.encoder


@pytest.mark.parametrize(
    ("pictures", "field"),
    [
        ([], "pictures"),
        ([GivenPicture(b"no picture")], "pictures.0"),
        (
            [*given(1), GivenPicture(drawing(1), box=Box(left=0, top=0, right=33, bottom=9))],
            "pictures.1.box",
        ),
        (
            [GivenPicture(drawing(1), box=Box(left=0, top=0, right=32, bottom=9))],
            "pictures.0.box",
        ),
    ],
)
def test_a_bad_picture_is_named_and_nothing_is_kept(
    pictures: list[GivenPicture], field: str, memory: CharacterMemory, objects: Objects
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        memory.create("ours", "mika", WORDS, pictures, CONSENT)
    assert caught.value.field == field
    assert memory.listed("ours") == []
    assert list(objects.pages()) == []
