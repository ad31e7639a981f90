"""Events over sockets and streams: order, resume, and those who are let go."""

import asyncio
import io
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

FAST = {"prompt": "a", "steps": 3, "size": {"width": 64, "height": 64}}
BESIDE = {"queue.changed", "entity.changed"}
"""What is told between the events of jobs."""


def open_socket(client: httpx.Client, query: str = "", **more: Any) -> ClientConnection:
    host = client.base_url.netloc.decode()
    headers = {"authorization": client.headers["authorization"]}
    return connect(f"ws://{host}/api/v1/events{query}", additional_headers=headers, **more)


def frame_of(socket: ClientConnection) -> dict[str, Any] | bytes:
    """The next frame: JSON, or a preview."""
    message = socket.recv(timeout=20)
    if isinstance(message, bytes):
        return message
    frame: dict[str, Any] = json.loads(message)
    return frame


def heard(socket: ClientConnection, *beside: str) -> dict[str, Any]:
    """The next frame about a job, or of another type that is named."""
    while True:
        frame = frame_of(socket)
        if isinstance(frame, dict) and frame["type"] not in BESIDE - {*beside}:
            return frame


def until_ended(socket: ClientConnection, job: str) -> list[dict[str, Any]]:
    """All frames up to the one that says that the job has ended."""
    frames = []
    while True:
        frames.append(heard(socket))
        last = frames[-1]
        if last["type"] == "job.state" and last["job_id"] == job and last["state"] == "succeeded":
            return frames


def draw(client: httpx.Client, **more: Any) -> str:
    job: str = client.post("/api/v1/generations", json=FAST | more).json()["jobId"]
    return job


def test_a_socket_hears_how_all_stands_and_then_every_event_once(
    admin: httpx.Client, worker: None
) -> None:
    with open_socket(admin) as socket:
        first = heard(socket)
        assert (first["type"], first["v"]) == ("snapshot", 1)
        job = draw(admin, seeds=[1, 2])
        frames = until_ended(socket, job)
    mine = [frame for frame in frames if frame.get("job_id") == job]
    assert [frame["state"] for frame in mine if frame["type"] == "job.state"] == [
        "queued", "running", "succeeded",
    ]  # fmt: skip
    assert [frame["index"] for frame in mine if frame["type"] == "job.frame"] == [0, 1]
    seqs = [frame["seq"] for frame in frames]
    assert seqs == sorted(set(seqs))
    assert seqs[0] > first["seq"]


def test_who_comes_again_with_the_last_seq_misses_nothing(
    admin: httpx.Client, worker: None
) -> None:
    with open_socket(admin) as socket:
        since = heard(socket)["seq"]
        job = draw(admin)
        whole = [frame for frame in until_ended(socket, job) if frame["type"] != "job.progress"]
    with open_socket(admin, f"?since={since}") as socket:
        assert heard(socket)["type"] == "snapshot"
        again = [frame for frame in until_ended(socket, job) if frame["type"] != "job.progress"]
    assert again == whole
    with open_socket(admin, f"?since={whole[0]['seq']}") as socket:
        heard(socket)
        assert heard(socket)["seq"] > whole[0]["seq"]


def test_the_line_is_told_whenever_it_changes(easel: Any, tmp_path: Path) -> None:
    with (
        easel(tmp_path) as address,
        httpx.Client(base_url=address) as owner,
        connect(f"ws://{owner.base_url.netloc.decode()}/api/v1/events") as socket,
    ):
        assert heard(socket)["queue"] == {"queued": 0, "running": 0}
        job = owner.post("/api/v1/generations", json=FAST).json()["jobId"]
        assert heard(socket, "queue.changed")["type"] == "job.state"
        told = heard(socket, "queue.changed")
        assert (told["type"], told["queued"], told["running"]) == ("queue.changed", 1, 0)
        assert "seq" not in told
        owner.post(f"/api/v1/jobs/{job}/cancel")
        assert heard(socket)["state"] == "canceled"
        assert heard(socket, "queue.changed")["queued"] == 0


def test_every_change_of_another_thing_is_told_to_its_tenant_in_order(
    admin: httpx.Client, stranger: httpx.Client
) -> None:
    story = {"title": "t", "frames": [{"name": "a"}]}
    with open_socket(admin, "?project=film") as socket, open_socket(stranger) as other:
        since = heard(socket)["seq"]
        heard(other)
        board = admin.post("/api/v1/storyboards", json=story).json()["id"]
        admin.put(f"/api/v1/storyboards/{board}", json=story | {"title": "u"})
        admin.delete(f"/api/v1/storyboards/{board}")
        told = [heard(socket, "entity.changed") for _ in range(3)]
        theirs = stranger.post("/api/v1/storyboards", json=story).json()["id"]
        assert heard(other, "entity.changed")["id"] == theirs
    assert {(one["kind"], one["id"]) for one in told} == {("storyboard", board)}
    seqs = [one["seq"] for one in told]
    assert since < seqs[0] < seqs[1] < seqs[2]
    with open_socket(admin, f"?since={seqs[0]}") as socket:
        assert heard(socket)["type"] == "snapshot"
        assert heard(socket, "entity.changed")["seq"] == seqs[1]


def test_a_socket_sees_pictures_on_their_way(admin: httpx.Client, worker: None) -> None:
    wide = {"size": {"width": 256, "height": 128}, "steps": 60}
    with open_socket(admin, "?project=looks") as socket:
        heard(socket)
        job = draw(admin, project="looks", **wide)
        while not isinstance(frame := frame_of(socket), bytes):
            assert frame.get("state") not in {"succeeded", "failed"}
        admin.post(f"/api/v1/jobs/{job}/cancel")
    length = int.from_bytes(frame[:4], "big")
    header = json.loads(frame[4 : 4 + length])
    assert (header["job_id"], header["index"], header["mime"]) == (job, 0, "image/webp")
    assert header["step"] % 2 == 0
    assert header["box"] == [0, 0, 256, 128]
    with Image.open(io.BytesIO(frame[4 + length :])) as seen:
        assert (seen.format, seen.size) == ("WEBP", (256, 128))


def test_a_project_hears_its_own_jobs_only(admin: httpx.Client, worker: None) -> None:
    with open_socket(admin, "?project=film") as socket:
        heard(socket)
        draw(admin, project="other")
        job = draw(admin, project="film")
        assert {frame["job_id"] for frame in until_ended(socket, job)} == {job}


def test_another_tenant_hears_nothing_of_ours(
    admin: httpx.Client, stranger: httpx.Client, worker: None
) -> None:
    with open_socket(stranger, "?since=0") as theirs, open_socket(admin) as ours:
        heard(ours)
        job = draw(admin)
        until_ended(ours, job)
        their_job = draw(stranger)
        frames = until_ended(theirs, their_job)
    told = [frame for frame in frames if frame.get("job_id") == job]
    told += [one for one in frames[0]["jobs"] + frames[0]["ended"] if one["job_id"] == job]
    assert not told


def test_a_ping_is_answered_and_anything_else_ends_the_talk(admin: httpx.Client) -> None:
    with open_socket(admin) as socket:
        heard(socket)
        socket.send('{"type": "ping"}')
        while (frame := heard(socket))["type"] != "pong":
            assert frame["type"].startswith("job.")
        socket.send("what?")
        assert code_of(socket) == 1008


def test_a_flood_of_messages_ends_the_talk(admin: httpx.Client) -> None:
    with open_socket(admin) as socket:
        heard(socket)
        for _ in range(41):
            socket.send('{"type": "ping"}')
        assert code_of(socket) == 1008


def test_a_giant_message_ends_the_talk(admin: httpx.Client) -> None:
    with open_socket(admin) as socket:
        heard(socket)
        socket.send("x" * 5000)
        assert code_of(socket) == 1009


def closed(socket: ClientConnection) -> ConnectionClosed:
    """How the server closes the socket, after whatever it says before."""
    try:
        while True:
            socket.recv(timeout=20)
    except ConnectionClosed as end:
        return end


def code_of(socket: ClientConnection) -> int:
    received = closed(socket).rcvd
    assert received is not None
    return received.code


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": "Bearer lk_" + "a" * 43}, {"origin": "https://evil.example"}],
)
def test_a_socket_of_nobody_or_of_another_page_is_closed(
    admin: httpx.Client, headers: dict[str, str]
) -> None:
    host = admin.base_url.netloc.decode()
    known = {"authorization": admin.headers["authorization"]} if "origin" in headers else {}
    with connect(f"ws://{host}/api/v1/events", additional_headers=known | headers) as socket:
        assert code_of(socket) == 1008


def test_a_browser_gives_its_token_as_a_subprotocol(admin: httpx.Client) -> None:
    token = admin.post("/api/v1/token").json()["access_token"]
    host = admin.base_url.netloc.decode()
    protocols: list[Any] = ["luciole.v1", f"bearer.{token}"]
    with connect(f"ws://{host}/api/v1/events", subprotocols=protocols) as socket:
        assert socket.subprotocol == "luciole.v1"
        assert heard(socket)["type"] == "snapshot"


def sse(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    event: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line:
            event[name] = value
        elif event:
            yield event
            event = {}


def test_a_stream_tells_one_job_and_goes_on_after_a_break(
    admin: httpx.Client, worker: None
) -> None:
    job = draw(admin)
    seen: list[dict[str, str]] = []
    with admin.stream("GET", f"/api/v1/events?job={job}&since=0") as stream:
        for event in sse(stream.iter_lines()):
            seen.append(event)
            if '"state":"succeeded"' in event.get("data", "") and event["event"] != "snapshot":
                break
    assert [event["event"] for event in seen][:2] == ["snapshot", "job.state"]
    assert all(json.loads(event["data"])["job_id"] == job for event in seen[1:])
    headers = {"last-event-id": seen[1]["id"]}
    with admin.stream("GET", f"/api/v1/events?job={job}", headers=headers) as stream:
        events = sse(stream.iter_lines())
        next(events)
        assert int(next(events)["id"]) > int(seen[1]["id"])


def test_a_stream_of_another_tenants_job_is_refused(
    admin: httpx.Client, stranger: httpx.Client
) -> None:
    job = draw(admin)
    assert stranger.get(f"/api/v1/events?job={job}").status_code == 404


def test_who_does_not_read_is_let_go_and_nobody_else_notices(easel: Any, tmp_path: Path) -> None:
    """Events of 60 MB in all: more than a line and every buffer on the way hold."""
    with easel(tmp_path) as address, httpx.Client(base_url=address) as owner:
        host = owner.base_url.netloc.decode()
        with (
            connect(f"ws://{host}/api/v1/events", max_queue=1) as slow,
            connect(f"ws://{host}/api/v1/events") as fast,
        ):
            heard(fast)
            job = owner.post("/api/v1/generations", json=FAST).json()["jobId"]
            assert heard(fast)["job_id"] == job
            for _ in range(15):
                write_events(tmp_path, job, 100, 40_000)
                assert [heard(fast)["n"] for _ in range(100)] == list(range(100))
            owner.post(f"/api/v1/jobs/{job}/cancel")
            assert heard(fast)["state"] == "canceled"
            closed(slow)


def write_events(state: Path, job: str, count: int, size: int) -> None:
    with sqlite3.connect(state / "luciole.db", timeout=30) as database:
        for n in range(count):
            data = json.dumps({"job_id": job, "n": n, "filler": "x" * size})
            database.execute(
                "INSERT INTO job_events (job, tenant, type, data, created_at)"
                " VALUES (?, 'local', 'job.progress', ?, '2026-01-01 00:00:00')",
                (job, data),
            )
    database.close()


def test_five_hundred_sockets_hear_a_job_and_leave(admin: httpx.Client, worker: None) -> None:
    from websockets.asyncio.client import connect as connect_async

    url = f"ws://{admin.base_url.netloc.decode()}/api/v1/events?project=crowd"
    headers = {"authorization": admin.headers["authorization"]}

    async def listen(ready: list[int]) -> bool:
        async with connect_async(url, additional_headers=headers, open_timeout=60) as socket:
            await socket.recv()
            ready.append(1)
            async for text in socket:
                if isinstance(text, str) and json.loads(text).get("state") == "succeeded":
                    return True
        return False

    async def crowd() -> tuple[list[bool], float]:
        ready: list[int] = []
        listening = [asyncio.create_task(listen(ready)) for _ in range(500)]
        while len(ready) < 500:
            await asyncio.sleep(0.05)
        began = time.perf_counter()
        await asyncio.to_thread(draw, admin, project="crowd")
        told = await asyncio.gather(*listening)
        return told, time.perf_counter() - began

    told, seconds = asyncio.run(crowd())
    assert all(told)
    assert seconds < 20
