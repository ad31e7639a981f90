"""Limits, quotas and what was used."""

import asyncio
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from sqlalchemy import update

from serving.gateway.accounts.counters import MINUTE, Counters
from serving.gateway.accounts.windows import Windows
from serving.gateway.refusals import RateLimited
from serving.storage.database import open_database
from serving.storage.tables import TenantRow

BODY = {"prompt": "a", "num_inference_steps": 10, "size": "128x128"}
UNITS = 10 * 128 * 128 / 1e6


def draw(address: str) -> httpx.Response:
    return httpx.post(f"{address}/v1/images/generations", json=BODY)


def terms(state: Path, **values: Any) -> None:
    database = open_database(f"sqlite:///{state}/luciole.db")
    with database.begin() as connection:
        connection.execute(update(TenantRow).values(**values))
    database.dispose()


def test_what_was_drawn_at_once_is_billed_as_steps_times_megapixels(
    easel: Any, tmp_path: Path
) -> None:
    with easel(tmp_path) as address:
        for _ in range(3):
            assert draw(address).status_code == 200
        until = time.monotonic() + 10
        while (used := httpx.get(f"{address}/api/v1/usage").json())["jobs"] < 3:
            assert time.monotonic() < until
            time.sleep(0.1)
    assert used["units"] == pytest.approx(3 * UNITS)
    assert [day["jobs"] for day in used["days"]] == [3]


def test_a_month_that_is_used_up_is_told_with_the_time_of_the_next(
    easel: Any, tmp_path: Path
) -> None:
    with easel(tmp_path) as address:
        terms(tmp_path, quota=2.5 * UNITS)
        assert [draw(address).status_code for _ in range(3)] == [200, 200, 429]
        refused = draw(address)
        assert refused.json()["error"]["type"] == "insufficient_quota"
        assert 0 < int(refused.headers["retry-after"]) <= 31 * 86400
        job = httpx.post(f"{address}/api/v1/generations", json={"prompt": "a"})
        assert (job.status_code, job.json()["code"]) == (429, "quota_exceeded")


def test_much_at_a_time_is_limited_by_its_cost_and_not_by_its_number(
    easel: Any, tmp_path: Path
) -> None:
    with easel(tmp_path, rate_units=500) as address:
        assert [draw(address).status_code for _ in range(4)] == [200, 200, 200, 429]
        refused = draw(address)
        assert refused.json()["error"]["code"] == "rate_limited"
        assert 1 <= int(refused.headers["retry-after"]) <= 121
        small = BODY | {"num_inference_steps": 1, "size": "64x64"}
        assert httpx.post(f"{address}/v1/images/generations", json=small).status_code == 200


def test_requests_are_limited_too_and_a_tenant_may_have_its_own_limits(
    easel: Any, tmp_path: Path
) -> None:
    with easel(tmp_path) as address:
        terms(tmp_path, limits={"requests": 5})
        statuses = [httpx.get(f"{address}/api/v1/me").status_code for _ in range(7)]
        assert statuses == [200] * 5 + [429] * 2


@pytest.mark.parametrize(
    "query", [{"since": "2026-01-01"}, {"since": "2100-01-01T00:00:00Z"},
              {"since": "2020-01-01T00:00:00Z"}],
)  # fmt: skip
def test_a_time_that_makes_no_sense_is_refused(open_easel: str, query: dict[str, str]) -> None:
    answer = httpx.get(f"{open_easel}/api/v1/usage", params=query)
    assert (answer.status_code, answer.json()["field"]) == (400, "since")


WISHES = st.lists(st.tuples(st.floats(0, 100), st.integers(1, 10)), min_size=1, max_size=30)
BEGIN = 1e9


@settings(max_examples=50, deadline=None)
@given(WISHES)
def test_limits_are_counted_here_as_the_library_counts_them(wishes: list[Any]) -> None:
    clock = [BEGIN]
    ours, item = Counters(lambda: clock[0]), RateLimitItemPerMinute(10)
    theirs = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def check() -> None:
        for seconds, cost in wishes:
            clock[0] += seconds
            hit = await theirs.hit(item, "units", "ada", cost=cost)
            assert (ours.take("ada", cost, 10) == 0) == hit

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: clock[0])
        asyncio.run(check())


@settings(max_examples=50, deadline=None)
@given(WISHES, st.integers(1, 10))
def test_who_is_refused_hears_when_it_will_fit(wishes: list[Any], wish: int) -> None:
    clock = [BEGIN]
    counters = Counters(lambda: clock[0])
    for seconds, cost in wishes:
        clock[0] += seconds
        counters.take("ada", cost, 10)
    refused = clock[0]
    if seconds := counters.take("ada", wish, 10):
        clock[0] = refused + 0.999 * seconds - 0.01
        assert seconds < 0.02 or counters.take("ada", wish, 10) > 0
        clock[0] = refused + seconds + 0.01
        assert counters.take("ada", wish, 10) == 0
        assert seconds <= 2 * MINUTE


@pytest.fixture
def redis() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no"]
    try:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    except FileNotFoundError:
        pytest.skip("redis-server is not installed (Debian: redis-server)")
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.05)
    yield f"redis://127.0.0.1:{port}", process
    process.kill()
    process.wait()


def test_gateways_share_their_limits_through_redis_and_go_on_alone_without_it(
    redis: tuple[str, subprocess.Popen[bytes]],
) -> None:
    url, process = redis

    async def use() -> None:
        one, other = Windows(url), Windows(url)
        await one.take("units", "ada", 6, 10)
        with pytest.raises(RateLimited):
            await other.take("units", "ada", 6, 10)
        await other.take("units", "bob", 6, 10)
        process.kill()
        process.wait()
        began = time.perf_counter()
        await one.take("units", "ada", 6, 10)
        with pytest.raises(RateLimited):
            await one.take("units", "ada", 6, 10)
        assert time.perf_counter() - began < 3
        await one.close()
        await other.close()

    asyncio.run(use())
