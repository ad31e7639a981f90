"""The client's parts that need no service."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luciole.client import ApiError, NotFound, RateLimited, Refused, ServiceUnavailable
from luciole.client import calls as made
from luciole.client.calls import checked
from luciole.client.pauses import may_repeat
from luciole.client.stream import Lines
from luciole.domain.guides import Start


def answer(status: int, body: object = None, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=body, headers=headers)


def test_both_shapes_of_an_error_are_understood() -> None:
    problem = {"detail": "size: is wrong", "code": "invalid_request", "field": "size"}
    openai = {"error": {"message": "size: is wrong", "code": "invalid_request", "param": "size"}}
    for body in (problem, openai):
        with pytest.raises(Refused) as caught:
            checked(answer(400, body))
        assert (caught.value.field, caught.value.message) == ("size", "is wrong")
        assert (caught.value.status, caught.value.kind) == (400, "invalid_request")


@pytest.mark.parametrize("body", [[], "words", None, {"error": "words"}, {"error": []}])
def test_any_other_body_is_an_error_all_the_same(body: object) -> None:
    with pytest.raises(NotFound, match="HTTP 404"):
        checked(answer(404, body))
    with pytest.raises(ServiceUnavailable):
        checked(httpx.Response(503, content=b"<html>"))
    with pytest.raises(ApiError):
        checked(answer(418, body))


def test_the_time_to_come_back_is_told() -> None:
    with pytest.raises(RateLimited) as caught:
        checked(answer(429, {}, **{"retry-after": "7"}))
    assert caught.value.retry_after == 7


def test_only_what_does_nothing_twice_is_sent_again() -> None:
    draw, generate = made.draw("a", {}), made.generate("a", None, {})
    assert may_repeat(generate, answer(503))
    assert not may_repeat(draw, answer(503))
    assert may_repeat(draw, answer(429))
    assert not may_repeat(generate, answer(400))
    assert not may_repeat(generate, answer(429, **{"retry-after": "86400"}))
    assert len(generate.headers["idempotency-key"]) == 32
    assert made.generate("a", "mine", {}).headers["idempotency-key"] == "mine"


def test_fields_are_sent_as_the_service_calls_them() -> None:
    start = Start(picture="0" * 64, strength=0.5)
    call = made.generate("a", None, {"num_variations": 2, "start": start, "seeds": None})
    assert call.json == {
        "prompt": "a",
        "numVariations": 2,
        "start": {"picture": "0" * 64, "strength": 0.5},
    }


@given(st.text(min_size=1))
def test_a_name_stays_one_part_of_its_path(name: str) -> None:
    try:
        path = made.job(name).path
    except UnicodeEncodeError:
        return
    assert path.startswith("/api/v1/jobs/")
    assert "/" not in path.removeprefix("/api/v1/jobs/")
    assert "?" not in path
    assert "#" not in path


def test_lines_become_events_and_remember_where_they_were() -> None:
    lines = Lines(None)
    text = (
        'event: snapshot\ndata: {"seq": 4}\n\n: ping\n\n'
        'id: 5\nevent: job.state\ndata: {"job_id": "j"}\n\n'
    )
    events = [event for line in text.split("\n") if (event := lines.take(line)) is not None]
    assert [(event.seq, event.type) for event in events] == [(None, "snapshot"), (5, "job.state")]
    assert lines.query == {"since": 5}
