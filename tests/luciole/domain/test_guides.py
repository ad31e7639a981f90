"""What may guide a picture is checked where it is said."""

from typing import Any

import pytest
from pydantic import ValidationError

from luciole.domain import Guides, RenderPlan, SolverName

ONE, OTHER = "1" * 64, "2" * 64


@pytest.mark.parametrize(
    ("guides", "place"),
    [
        ({"start": {"picture": "girl.png"}}, ("start", "picture")),
        ({"start": {"picture": ONE, "strength": 1.5}}, ("start", "strength")),
        ({"mask": {"picture": ONE}}, ("mask",)),
        ({"controls": [{"kind": "smell", "picture": ONE}]}, ("controls", 0, "kind")),
        ({"controls": [{"kind": "pose", "picture": ONE}] * 5}, ("controls",)),
        (
            {"controls": [{"kind": "pose", "picture": ONE, "begin": 0.5, "end": 0.5}]},
            ("controls", 0),
        ),
        ({"identities": [{"references": []}]}, ("identities", 0, "references")),
        ({"identities": [{"references": [ONE], "blocks": "nose"}]}, ("identities", 0, "blocks")),
        ({"family": {"seed": -1, "share": 0.5}}, ("family", "seed")),
        ({"family": {"seed": 1, "share": float("nan")}}, ("family", "share")),
        ({"reference": {"picture": ONE, "colour": "red"}}, ("reference", "colour")),
        ({"anchor": {"picture": ONE, "strength": -1}}, ("anchor", "strength")),
    ],
)
def test_a_guide_that_cannot_be_is_refused_by_its_place(guides: Any, place: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        Guides.model_validate(guides)
    assert refused.value.errors()[0]["loc"] == place


def test_all_pictures_are_named_once() -> None:
    guides = Guides.model_validate(
        {
            "start": {"picture": ONE},
            "mask": {"picture": OTHER},
            "controls": [{"kind": "pose", "picture": ONE}],
            "identities": [{"references": ["3" * 64, OTHER], "mask": "4" * 64}],
            "reference": {"picture": "5" * 64},
            "anchor": {"picture": "6" * 64},
        }
    )
    assert guides.pictures == (ONE, OTHER, "3" * 64, "4" * 64, "5" * 64, "6" * 64)


def test_a_plan_without_guides_reads_no_picture() -> None:
    plan = RenderPlan(
        prompt="a girl",
        width=128,
        height=128,
        steps=1,
        guidance_scale=1,
        seed=0,
        solver=SolverName.EULER,
    )
    assert plan.pictures == ()
    assert type(plan).model_validate_json(plan.model_dump_json()) == plan
