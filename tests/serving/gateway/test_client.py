"""`luciole.client` against the real service."""

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from luciole.client import (
    AsyncLuciole,
    Conflict,
    Luciole,
    NotFound,
    PermissionDenied,
    Refused,
    Unauthenticated,
    Unreachable,
)
from tests.serving.orchestration.characters.colours import drawing

SIZE = {"width": 64, "height": 64}


@pytest.fixture(scope="module")
def key(guarded: tuple[str, Path]) -> str:
    return (guarded[1] / "admin.key").read_text()


@pytest.fixture(scope="module")
def service(guarded: tuple[str, Path], key: str) -> Iterator[Luciole]:
    with Luciole(guarded[0], key) as made:
        yield made


def test_a_job_is_asked_for_followed_and_its_picture_fetched(
    service: Luciole, worker: None
) -> None:
    accepted = service.generate("a girl", size=SIZE, steps=3, seeds=[9])
    states = []
    for event in service.events(job=accepted.job_id, since=0):
        if event.type == "job.state":
            states.append(event.data["state"])
            if states[-1] == "succeeded":
                break
    assert states == ["queued", "running", "succeeded"]
    job = service.wait(accepted.job_id)
    assert job.outputs is not None
    [output] = job.outputs
    assert (job.status, output.seed) == ("succeeded", 9)
    with Image.open(io.BytesIO(service.content(output))) as picture:
        assert picture.size == (64, 64)
    assert accepted.job_id in [one.job_id for one in service.jobs(limit=200).items]
    assert service.usage().jobs >= 1


def test_the_same_from_an_event_loop(guarded: tuple[str, Path], key: str, worker: None) -> None:
    async def use() -> None:
        async with AsyncLuciole(guarded[0], key) as service:
            accepted = await service.generate("a girl", size=SIZE, steps=3)
            async for event in service.events(job=accepted.job_id, since=0):
                if event.data.get("state") == "succeeded":
                    break
            job = await service.wait(accepted.job_id)
            assert job.outputs is not None
            assert await service.content(job.outputs[0])
            [picture] = await service.draw("a girl", size="64x64", seed=1)
            assert picture.seed == 1
            assert (await service.me()).tenant == "local"

    asyncio.run(use())


def test_pictures_are_kept_and_drawn_at_once(service: Luciole, tiny_png: bytes) -> None:
    kept = service.upload(tiny_png)
    assert service.content(service.asset(kept.sha256)) == tiny_png
    assert service.assets(limit=1).next_cursor is not None
    pictures = service.draw("a girl", size="64x64", n=2, seed=5)
    assert [picture.seed for picture in pictures] == [5, 6]


def test_refusals_are_errors_that_name_the_field(service: Luciole) -> None:
    with pytest.raises(Refused) as caught:
        service.generate("a", size={"width": 5, "height": 64})
    assert caught.value.field == "size"
    with pytest.raises(Refused, match="empty"):
        service.draw(" ")
    with pytest.raises(NotFound):
        service.job("job/../../etc")
    service.generate("a", idempotency_key="c1", size=SIZE)
    with pytest.raises(Conflict):
        service.generate("b", idempotency_key="c1", size=SIZE)


def test_keys_are_made_and_revoked(service: Luciole, guarded: tuple[str, Path]) -> None:
    made = service.make_key("reader", ["read"])
    with Luciole(guarded[0], made.secret) as reader:
        assert reader.me().scopes == ["read"]
        with pytest.raises(PermissionDenied):
            reader.generate("a")
    service.revoke_key(made.id)
    with pytest.raises(Unauthenticated), Luciole(guarded[0], "lk_" + "a" * 43) as nobody:
        nobody.me()


def test_a_service_that_is_not_there_is_said_so() -> None:
    with pytest.raises(Unreachable), Luciole("http://127.0.0.1:9", retries=0) as nowhere:
        nowhere.me()


STORY = """
title: Mika and the rain
canvas: {width: 64, height: 64, steps: 2}
characters: {mika: {id: %s}}
frames:
  - {name: first, words: in rain, characters: {mika: {pose: walking}}}
  - {name: second, characters: {mika: {}}, inherits: [{noise: 0.5}]}
"""


def test_a_story_is_told_from_a_character_to_its_animatic(service: Luciole, worker: None) -> None:
    words = {"identity": "a girl with green hair"}
    box = {"left": 0, "top": 0, "right": 16, "bottom": 32}
    picture = {"sha256": service.upload(drawing(401)).sha256, "facet": "outfit", "box": box}
    mika = service.characters.create(
        "Client", given_by="a test", words=words, pictures=[picture], files=[drawing(402)]
    )
    assert [one.facet for one in mika.references] == ["outfit", "identity"]
    board = service.storyboards.create(STORY % mika.id)
    build = service.storyboards.build(board.id)
    job = service.wait(build.job_id)
    assert (job.status, job.subject, build.drawing) == ("succeeded", board.id, ["first", "second"])
    [animatic] = [one for one in job.files or () if one.name == "animatic.gif"]
    assert service.content(animatic).startswith(b"GIF89a")
    frames = service.storyboards.frames(board.id)
    assert (frames.stale, frames.cost) == (0, 0)
    kept = service.versions.keep("first-frame", job.job_id, 0)
    assert service.versions.restore(kept.id).parent == kept.id
    assert len(service.versions.page("first-frame").items) == 2
    service.storyboards.replace(board.id, board.document | {"title": "Another"})
    assert len(service.versions.page(board.id).items) == 2
    service.storyboards.delete(board.id)


def test_a_character_is_found_changed_carried_and_forgotten(service: Luciole) -> None:
    made = service.characters.create("Nori", given_by="a test", files=[drawing(411)])
    changed = service.characters.change(made.id, words={"identity": "a boy with white hair"})
    assert (changed.version, len(service.characters.versions(made.id))) == (2, 2)
    assert service.characters.by_words("white hair", count=1)[0].character.id == made.id
    sha = service.upload(drawing(411, change=2)).sha256
    assert service.characters.by_picture(sha, count=1)[0].character.id == made.id
    copy = service.characters.unpack(service.characters.pack(made.id), "Nori again")
    assert [one.character.id for one in copy.near] == [made.id]
    assert service.characters.page("Nori").items[0].version == 2
    assert service.characters.restore(made.id, 1).words == {}
    for name in (made.id, copy.id):
        service.characters.delete(name)
        with pytest.raises(NotFound):
            service.characters.get(name)


def test_words_are_read_and_expanded(service: Luciole) -> None:
    read = service.words.parse("a girl in (rain:1.3)")
    assert (read.prompt, read.emphasis[0].weight) == ("a girl in rain", 1.3)
    assert "rain particles" in service.words.expand("Anime girl walking in rain").written
    assert service.words.styles().data == []


def test_the_event_loop_has_the_same_parts(guarded: tuple[str, Path], key: str) -> None:
    async def use() -> None:
        async with AsyncLuciole(guarded[0], key) as service:
            made = await service.characters.create("Loop", given_by="x", files=[drawing(421)])
            board = await service.storyboards.create({"title": "t", "frames": [{"name": "a"}]})
            assert (await service.storyboards.frames(board.id)).stale == 1
            assert (await service.versions.page(board.id)).items[0].subject == board.id
            assert (await service.words.parse("a girl")).prompt == "a girl"
            await service.characters.delete(made.id)

    asyncio.run(use())
