"""Several processes over one database: each finds what the others made, and not what they forgot.

A memory of its own, with a folder of its own or one that they share, stands for each process.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from luciole.domain.character import Character
from luciole.neighbours import Neighbours
from serving.orchestration.characters import changes
from serving.orchestration.characters.memory import CharacterMemory
from serving.storage.columns import now
from serving.storage.objects import Objects
from serving.storage.tables import CharacterRemovalRow, TenantRow
from tests.serving.orchestration.characters.colours import CONSENT, Colours, drawing, given

Two = tuple[CharacterMemory, CharacterMemory]


BOTH = pytest.mark.parametrize("two", ["apart", "together"], indirect=True)


@pytest.fixture
def two(request: pytest.FixtureRequest, database: Engine, objects: Objects, tmp_path: Path) -> Two:
    together = getattr(request, "param", "apart") == "together"
    folders = (tmp_path / "index", tmp_path / ("index" if together else "other"))
    one, other = (CharacterMemory(database, objects, Colours(), folder) for folder in folders)
    return one, other


def make(memory: CharacterMemory, seed: int, tenant: str = "ours") -> Character:
    return memory.create(tenant, f"c{seed}", {}, given(seed), CONSENT).character


def best(memory: CharacterMemory, seed: int, tenant: str = "ours") -> str | None:
    """Who looks exactly like this drawing."""
    found = memory.by_picture(tenant, drawing(seed), count=1)
    return found[0].character.id if found and found[0].score == pytest.approx(1) else None


def follow_each_other(one: CharacterMemory, other: CharacterMemory, tenant: str) -> None:
    """Made, changed and deleted by one, found as it is by the other, and the other way round."""
    assert best(other, 1, tenant) is None  # its index is open, and empty
    first = make(one, 1, tenant)
    assert best(other, 1, tenant) == first.id
    second = make(other, 2, tenant)
    assert best(one, 2, tenant) == second.id
    one.change(tenant, second.id, pictures=given(3))
    assert (best(other, 2, tenant), best(other, 3, tenant)) == (None, second.id)
    other.delete(tenant, first.id)
    assert best(one, 1, tenant) is None
    [left] = one.by_picture(tenant, drawing(1))
    assert left.character.id == second.id
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: make((one, other)[n % 2], n, tenant), range(10, 26)))
    for n, character in enumerate(made, start=10):
        assert [best(memory, n, tenant) for memory in (one, other)] == [character.id] * 2
    assert one.rebuild(tenant) == len(made) + 1


@BOTH
def test_each_finds_at_once_what_the_other_did(two: Two) -> None:
    follow_each_other(*two, "ours")


def test_a_name_that_the_other_took_is_near_and_taken(two: Two) -> None:
    one, other = two
    assert best(other, 1) is None
    made = make(one, 1)
    near = other.create("ours", "twin", {}, given(1, change=1), CONSENT).near
    assert [found.character.id for found in near] == [made.id]


def test_only_what_changed_is_read_and_nothing_if_nothing_did(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = two
    for seed in range(1, 21):
        make(one, seed)
    assert best(other, 1) is not None
    read: list[int] = []
    whole = changes.changed

    def counted(*asked: object):  # type: ignore[no-untyped-def]
        for page in whole(*asked):  # type: ignore[arg-type]
            read.append(len(page))
            yield page

    monkeypatch.setattr(changes, "changed", counted)
    monkeypatch.setattr(Neighbours, "open", lambda *_: pytest.fail("the file was read again"))
    assert best(other, 2) is not None
    assert read == []
    made = make(one, 30), make(one, 31)
    assert best(other, 30) == made[0].id
    assert best(one, 31) == made[1].id
    assert read == [2]


def test_another_tenants_changes_are_none_of_ours(two: Two) -> None:
    one, other = two
    assert best(other, 1) is None
    make(one, 1, "theirs")
    assert best(other, 1) is None
    assert best(other, 1, "theirs") is not None


@BOTH
def test_no_file_brings_back_whom_another_process_deleted(two: Two, tmp_path: Path) -> None:
    one, other = two
    gone, kept = make(one, 1), make(one, 2)
    assert best(other, 1) == gone.id
    one.delete("ours", gone.id)
    other.close()  # has not looked since
    one.close()
    for file in tmp_path.glob("*/*.index"):
        index, _ = Neighbours.open(file)
        assert index.names.tolist() == [changes.number_of(kept.id)]


def test_who_looked_last_before_removals_were_forgotten_compares_everything(
    two: Two, database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = two
    gone, kept = make(one, 1), make(one, 2)
    assert best(other, 1) == gone.id
    one.delete("ours", gone.id)
    with database.begin() as connection:
        old = now() - timedelta(seconds=changes.REMEMBERED + 1)
        connection.execute(update(CharacterRemovalRow).values(created_at=old))
    one.delete("ours", make(one, 3).id)
    with database.begin() as connection:
        assert len(changes.removed(connection, "ours", 0)) == 1
    monkeypatch.setattr(changes, "REMEMBERED", 0)
    assert other.by_picture("ours", drawing(1))[0].character.id == kept.id
    other.close()


def test_a_copy_from_before_that_was_put_back_is_followed_too(
    two: Two, database: Engine, start: Callable[..., CharacterMemory]
) -> None:
    one, other = two
    for seed in (1, 2, 3):
        make(one, seed)
    assert best(other, 2) is not None
    with database.begin() as connection:
        connection.execute(update(TenantRow).values(character_revision=1))
    made = make(start(), 4)
    assert best(other, 4) == made.id


def test_another_encoders_directions_are_never_compared(
    database: Engine, objects: Objects, tmp_path: Path, start: Callable[..., CharacterMemory]
) -> None:
    old = start("a")
    make(old, 1)
    assert best(old, 1) is not None
    assert best(start("b"), 1) is not None  # a newer process sees everybody anew
    assert old.by_picture("ours", drawing(1)) == []
