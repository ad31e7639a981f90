"""The client for programs that wait and the one for event loops are one interface, twice."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from types import FunctionType
from typing import Any

import pytest

from luciole.client import AsyncLuciole, Luciole, async_sections, sections
from luciole.client.calls import Call
from luciole.client.records import MadeFile
from luciole.client.triton import AsyncTritonGenerate, TritonGenerate
from luciole.domain.character import Box

PAIRS: list[tuple[type, type]] = [
    *((getattr(sections, name), getattr(async_sections, f"Async{name}"))
      for name in ("Characters", "Storyboards", "Versions", "Words")),
    (Luciole, AsyncLuciole),
]  # fmt: skip
GIVEN: dict[str, Any] = {
    "int": 3, "str": "a/b c", "bytes": b"bytes", "Box": Box(left=1, top=2, right=3, bottom=4),
    "datetime": datetime(2026, 1, 2, tzinfo=UTC), "Mapping": {"identity": "a girl"},
    "Sequence": ["one", "two"], "Any": {"told": True},
    "Asset": MadeFile(name="a", sha256="0" * 64, mime="image/png", url="http://a/b", width=1,
                      height=1),
}  # fmt: skip
OF_SEVERAL_CALLS = {"wait", "events", "close"}


def public(kind: type) -> dict[str, FunctionType]:
    found = inspect.getmembers(kind, inspect.isfunction)
    return {name: method for name, method in found if not name.startswith("_")}


METHODS = [(one, other, name) for one, other in PAIRS for name in public(one)]


def test_both_have_the_same_classes_and_methods() -> None:
    classes = {
        name for name, kind in vars(sections).items()
        if inspect.isclass(kind) and kind.__module__ == sections.__name__
    }  # fmt: skip
    there = {
        name.removeprefix("Async") for name, kind in vars(async_sections).items()
        if inspect.isclass(kind) and kind.__module__ == async_sections.__name__
    }  # fmt: skip
    assert classes == there == {"Send", "Characters", "Storyboards", "Versions", "Words"}
    for one, other in PAIRS:
        assert list(public(one)) == list(public(other))
        assert one.__doc__ == other.__doc__ or one is Luciole
    of_calls = [set(vars(made)) for made in (Luciole("http://a"), AsyncLuciole("http://a"))]
    assert of_calls[0] == of_calls[1]


@pytest.mark.parametrize(("one", "other", "name"), METHODS)
def test_a_method_is_called_alike_says_the_same_and_returns_the_same_once_awaited(
    one: type, other: type, name: str
) -> None:
    here, there = public(one)[name], public(other)[name]
    first, second = inspect.signature(here, eval_str=True), inspect.signature(there, eval_str=True)
    assert first.parameters == second.parameters
    assert inspect.getdoc(here) == inspect.getdoc(there)
    assert inspect.getdoc(here)
    if name == "events":
        events = first.return_annotation
        assert events == Iterator[events.__args__[0]]
        assert second.return_annotation == AsyncIterator[events.__args__[0]]
        assert inspect.isasyncgenfunction(there)
        return
    assert first.return_annotation == second.return_annotation
    assert inspect.iscoroutinefunction(there)
    assert not inspect.iscoroutinefunction(here)


def test_both_are_made_with_the_same_words() -> None:
    first, second = (inspect.signature(kind.__init__) for kind in (Luciole, AsyncLuciole))
    assert first == second
    first, second = (
        inspect.signature(kind.draw, eval_str=True)
        for kind in (TritonGenerate, AsyncTritonGenerate)
    )
    assert first == second


class Sent(Exception):
    """What would have been sent."""


def value(annotation: Any) -> Any:
    """One that is not the parameter's default."""
    words = str(getattr(annotation, "__name__", annotation))
    for name, given in GIVEN.items():
        if name in words:
            return given
    raise AssertionError(f"say in GIVEN what stands for {words}")


def arguments(method: FunctionType) -> tuple[list[Any], dict[str, Any]]:
    asked = list(inspect.signature(method).parameters.values())[1:]
    plain = [value(one.annotation) for one in asked if one.kind is one.POSITIONAL_OR_KEYWORD]
    named = {one.name: value(one.annotation) for one in asked if one.kind is one.KEYWORD_ONLY}
    return plain, named


@pytest.mark.parametrize(
    ("one", "other", "name"), [chosen for chosen in METHODS if chosen[2] not in OF_SEVERAL_CALLS]
)
def test_a_method_sends_the_same(one: type, other: type, name: str) -> None:
    def send(call: Call[Any]) -> None:
        raise Sent(call)

    async def send_later(call: Call[Any]) -> None:
        raise Sent(call)

    here, there = object.__new__(one), object.__new__(other)
    here._send, there._send = send, send_later
    plain, named = arguments(public(one)[name])
    with pytest.raises(Sent) as first:
        getattr(here, name)(*plain, **named)
    with pytest.raises(Sent) as second:
        asyncio.run(getattr(there, name)(*plain, **named))
    assert told(first.value.args[0]) == told(second.value.args[0])


def told(call: Call[Any]) -> dict[str, Any]:
    """Functions that read answers are made for each call."""
    return {name: said for name, said in vars(call).items() if name != "read"} | {
        "read": getattr(call.read, "__qualname__", "")
    }
