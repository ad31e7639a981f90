"""A character enters a plan by facet and by shot."""

import hashlib

import numpy as np
import pytest

from luciole.domain import RenderPlan, SolverName
from luciole.domain.character import Facet
from luciole.domain.storyboard import CastMember, Retries, ShotSize
from serving.orchestration.characters.applying import (
    applied,
    cast,
    person_words,
    references,
)
from serving.orchestration.characters.drift import draw_alike, settled
from serving.orchestration.characters.memory import CharacterMemory
from serving.orchestration.pictures import Picture
from tests.serving.orchestration.characters.colours import CONSENT, Colours, given

PICTURES = {facet: (hashlib.sha256(facet.encode()).hexdigest(),) for facet in Facet}
MIKA = CastMember(
    words={Facet.IDENTITY: "a girl", Facet.OUTFIT: "a coat", Facet.POSE: "waving"},
    pictures=PICTURES,
)
PLAN = RenderPlan(
    prompt="on a street", width=64, height=64, steps=4, guidance_scale=3, seed=5,
    solver=SolverName.EULER,
)  # fmt: skip
BLANK = np.zeros((8, 8, 3), np.uint8)


def test_words_go_before_the_prompt_and_references_into_the_plan() -> None:
    plan = applied(PLAN, MIKA, ShotSize.FULL)
    assert plan.prompt == "a girl wearing a coat waving, on a street"
    blocks = {use.references: (use.blocks, use.weight) for use in plan.identities}
    assert blocks[PICTURES[Facet.IDENTITY]] == ("all", 0.8)
    assert blocks[PICTURES[Facet.PALETTE]] == ("style", 0.6)
    assert blocks[PICTURES[Facet.POSE]] == ("layout", 0.8)
    assert plan.model_copy(update={"prompt": PLAN.prompt, "identities": ()}) == PLAN


def test_a_close_shot_keeps_the_face_and_a_far_one_the_clothes() -> None:
    weights = {
        shot: {use.references[0]: use.weight for use in applied(PLAN, MIKA, shot).identities}
        for shot in ShotSize
    }
    face, coat = PICTURES[Facet.IDENTITY][0], PICTURES[Facet.OUTFIT][0]
    faces = [weights[shot][face] for shot in ShotSize]
    coats = [weights[shot].get(coat, 0) for shot in ShotSize]
    assert faces == sorted(faces, reverse=True)
    assert coats == sorted(coats)
    assert coats[0] == 0
    assert person_words(MIKA, ShotSize.EXTREME_CLOSE_UP) == "a girl"


def test_only_the_chosen_facets_enter() -> None:
    plan = applied(PLAN, MIKA, ShotSize.FULL, {Facet.OUTFIT})
    assert plan.prompt == "somebody wearing a coat, on a street"
    assert [use.references for use in plan.identities] == [PICTURES[Facet.OUTFIT]]


def test_a_remembered_character_can_be_cast(memory: CharacterMemory) -> None:
    made = memory.create("ours", "mika", {Facet.IDENTITY: "a girl"}, given(1), CONSENT).character
    member = cast(made)
    assert member.words == {Facet.IDENTITY: "a girl"}
    assert member.pictures == {Facet.IDENTITY: (made.references[0].crop,)}


@pytest.mark.parametrize(
    ("scores", "attempts", "seed", "drifted"),
    [
        ([0.6], 1, 5, ()),
        ([0.1, 0.7, 0.9], 2, 6, ()),
        ([0.1, 0.3, 0.2], 3, 6, ("mika",)),
    ],
)
def test_drawing_stops_at_the_first_that_is_like_enough_and_keeps_the_best_otherwise(
    scores: list[float], attempts: int, seed: int, drifted: tuple[str, ...]
) -> None:
    left = iter(scores)
    seeds: list[int] = []

    def draw(plan: RenderPlan) -> Picture:
        seeds.append(plan.seed)
        return BLANK

    found = draw_alike(PLAN, draw, lambda _: {"mika": next(left)}, Retries(attempts=3, least=0.5))
    assert (found.attempts, found.plan.seed, found.drifted) == (attempts, seed, drifted)
    assert seeds == list(range(5, 5 + attempts))


def test_pictures_that_do_not_guide_only_tell_how_alike_a_drawing_is() -> None:
    member = CastMember(words={}, pictures={Facet.IDENTITY: ("a" * 64,)})
    [(_, use)] = references(member.model_copy(update={"weight": 0.5}), ShotSize.CLOSE_UP)
    assert use.weight == 0.5
    assert references(member.model_copy(update={"weight": 0.0}), ShotSize.CLOSE_UP) == []


def test_without_a_measure_of_ones_own_the_encoders_holds() -> None:
    encoder = Colours()
    assert settled(Retries(attempts=3), encoder) == Retries(attempts=3, least=encoder.alike)
    assert settled(Retries(least=0.1), encoder).least == 0.1
    assert settled(Retries(), None).least is None


def test_the_worst_of_several_characters_decides() -> None:
    left = iter([{"mika": 0.9, "taro": 0.1}, {"mika": 0.4, "taro": 0.4}])
    found = draw_alike(PLAN, lambda _: BLANK, lambda _: next(left), Retries(attempts=2, least=0.5))
    assert found.scores == {"mika": 0.4, "taro": 0.4}
    assert found.drifted == ("mika", "taro")
