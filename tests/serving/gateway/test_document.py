"""The OpenAPI document that clients are made from."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.gateway.document import FILE, text


def test_the_kept_document_is_the_one_that_the_code_makes() -> None:
    assert FILE.read_text() == text(), "run `python -m serving openapi` and commit the file"


def test_a_running_service_shows_the_same_document(guarded: tuple[str, Path]) -> None:
    shown = httpx.get(f"{guarded[0]}/openapi.json").json()
    assert shown == json.loads(FILE.read_text())


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    known: dict[str, Any] = json.loads(FILE.read_text())
    return known


def test_every_route_says_what_it_does_and_has_a_tag(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            assert route.get("description"), (method, path)
            assert route.get("tags"), (method, path)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    known = document["components"]["schemas"]
    for place in references(document):
        assert place.startswith("#/components/schemas/"), place
        assert place.rpartition("/")[2] in known, place


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(references, value.values()))
    if isinstance(value, list):
        return set().union(*map(references, value))
    return set()
