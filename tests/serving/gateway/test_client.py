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
