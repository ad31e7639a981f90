"""Requests that cannot be are refused by the name of the field."""

import math

import pytest
from pydantic import ValidationError

from luciole.domain import GenerationRequest, plans


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", ""),
        ("prompt", "  \n"),
        ("prompt", "a" * 10_000),
        ("negative_prompt", "a" * 10_000),
        ("guidance_scale", math.nan),
        ("guidance_scale", math.inf),
        ("guidance_scale", 0.5),
        ("guidance_eta", math.nan),
        ("guidance_eta", 1.1),
        ("steps", -1),
        ("steps", 0),
        ("steps", 100_000),
        ("width", 0),
        ("height", -128),
        ("seed", -1),
        ("count", 0),
        ("solver", "magic"),
        ("colour", "red"),
    ],
)
def test_what_cannot_be_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as refused:
        GenerationRequest.model_validate({"prompt": "a girl in the rain", field: value})
    assert refused.value.errors()[0]["loc"] == (field,)


def test_a_request_for_several_pictures_counts_its_seeds_up() -> None:
    request = GenerationRequest(prompt="a girl in the rain", count=3, seed=2**63 - 2)
    assert [plan.seed for plan in plans(request)] == [2**63 - 2, 2**63 - 1, 0]


def test_a_plan_survives_being_written_and_read() -> None:
    plan = plans(GenerationRequest(prompt="a girl in the rain", seed=5))[0]
    assert type(plan).model_validate_json(plan.model_dump_json()) == plan


def test_a_request_cannot_be_changed_after_it_was_checked() -> None:
    request = GenerationRequest(prompt="a girl in the rain")
    with pytest.raises(ValidationError):
        request.steps = -1  # type: ignore[misc]
