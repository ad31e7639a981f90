"""Whatever the OpenAPI allows, and much that it does not, is answered without a 500."""

import contextlib
from pathlib import Path
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error

ENDLESS = "/api/v1/events"
"""A stream that never ends cannot be waited for."""
EXAMPLES = 4
"""Of each operation, sound and unsound ones each."""


def test_no_request_breaks_the_service(guarded: tuple[str, Path], admin: httpx.Client) -> None:
    described = schemathesis.openapi.from_url(f"{guarded[0]}/openapi.json").exclude(path=ENDLESS)
    operations = [found.ok() for found in described.get_all_operations()]
    assert len(operations) > 20
    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            ask_anything(operation, mode, str(admin.headers["authorization"]))


def ask_anything(operation: Any, mode: GenerationMode, authorization: str) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        answer = case.call(headers={"Authorization": authorization}, timeout=30)
        case.validate_response(answer, checks=(not_a_server_error,))

    with contextlib.suppress(Unsatisfiable):  # nothing can be wrong where nothing is asked
        ask()
