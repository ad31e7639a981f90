"""A storyboard behaves as under a build system: what is unchanged is not drawn again."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from luciole.domain import InvalidRequest, RenderPlan, StyleStrategy
from luciole.domain.storyboard import Retries, Storyboard
from serving.orchestration.pictures import Picture, PictureShelf, name_of, png
from serving.orchestration.scenes.build import FrameCache, Progress, build, stale
from serving.orchestration.scenes.compile import CompiledFrame, compile_storyboard
from serving.orchestration.scenes.regions import columns, mask

PEOPLE: dict[str, dict[str, Any]] = {
    "mika": {"words": {"identity": "a girl", "outfit": "a coat"}, "pictures": {}},
    "taro": {"words": {"identity": "a boy"}, "pictures": {}},
}


@dataclass
class Stub:
    """Draws noise that depends on the whole plan, and remembers what was asked."""

    asked: list[RenderPlan] = field(default_factory=list)

    def check(self, plan: RenderPlan) -> None:
        if plan.steps > 50:
            raise InvalidRequest("steps", "too many")

    def render(
        self, plans: Sequence[RenderPlan], progress: Progress | None = None
    ) -> Sequence[Picture]:
        self.asked += plans
        return [_noise(plan) for plan in plans]


def anything(plan: RenderPlan) -> None:
    """A model that follows every guide."""


def words_only(plan: RenderPlan) -> None:
    """A model that follows none."""
    if plan.pictures:
        raise InvalidRequest("plan", "no pictures here")


def _noise(plan: RenderPlan) -> Picture:
    seed = int(name_of(plan.model_dump_json().encode())[:8], 16)
    return np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)


def board(**changes: Any) -> dict[str, Any]:
    """Four frames in a chain of pictures, and one that stands alone."""
    told: dict[str, Any] = {
        "title": "t",
        "characters": PEOPLE,
        "frames": [
            {"name": "a", "background": "a park", "lighting": "noon"},
            {"name": "b", "inherits": [{"latent": {"strength": 0.5}, "background": True}]},
            {"name": "c", "inherits": [{"latent": {}, "noise": 0.5}]},
            {"name": "d", "inherits": [{"from": "a", "lighting": True}]},
            {"name": "e", "inherits": []},
        ],
    }
    return told | changes


def changed(name: str, **what: Any) -> dict[str, Any]:
    told = board()
    frames = [one | what if one["name"] == name else one for one in told["frames"]]
    return told | {"frames": frames}


def compiled(told: dict[str, Any], renderer: str = "r") -> tuple[CompiledFrame, ...]:
    return compile_storyboard(Storyboard.model_validate(told), anything, renderer, {})


def run(
    told: dict[str, Any], folder: Path, renderer: str = "r"
) -> tuple[list[str], dict[str, str]]:
    """The frames that were drawn, and every frame's picture."""
    stub, shelf = Stub(), PictureShelf()
    made, fresh = build(
        compiled(told, renderer), stub, shelf, FrameCache(folder), lambda *_: {}, Retries()
    )
    assert len(stub.asked) == len(fresh)
    return fresh, {name: drawn.picture for name, drawn in made.items()}


def test_a_second_build_draws_nothing_and_gives_the_same_pictures(tmp_path: Path) -> None:
    first, pictures = run(board(), tmp_path)
    assert first == ["a", "b", "c", "d", "e"]
    assert run(board(), tmp_path) == ([], pictures)


@pytest.mark.parametrize(
    ("change", "redrawn"),
    [
        (changed("a", words="it rains"), ["a", "b", "c"]),
        (changed("a", background="a beach"), ["a", "b", "c"]),
        (changed("a", lighting="night"), ["a", "b", "c", "d"]),
        (changed("b", words="it rains"), ["b", "c"]),
        (changed("d", words="it rains"), ["d"]),
        (changed("e", camera={"shot": "close-up"}), ["e"]),
        (changed("e", seconds=3), []),
        (board(title="another"), []),
        (board(canvas={"steps": 7}), ["a", "b", "c", "d", "e"]),
    ],
)
def test_a_change_makes_its_frame_and_whoever_looks_at_it_stale(
    change: dict[str, Any], redrawn: list[str], tmp_path: Path
) -> None:
    run(board(), tmp_path)
    waiting = [frame.shot.name for frame in stale(compiled(change), FrameCache(tmp_path))]
    assert waiting == redrawn
    assert run(change, tmp_path)[0] == redrawn


def test_redrawing_a_part_gives_the_same_bytes_as_drawing_everything(tmp_path: Path) -> None:
    change = changed("b", words="it rains")
    run(board(), tmp_path / "one")
    assert run(change, tmp_path / "one")[1] == run(change, tmp_path / "two")[1]


def test_a_frame_moved_or_added_elsewhere_leaves_the_others_fresh(tmp_path: Path) -> None:
    told = board()
    run(told, tmp_path)
    frames = [{"name": "new", "inherits": []}, *told["frames"]]
    assert run(told | {"frames": frames}, tmp_path)[0] == ["new"]


def test_another_renderer_makes_everything_stale(tmp_path: Path) -> None:
    run(board(), tmp_path)
    assert len(run(board(), tmp_path, renderer="other")[0]) == 5


def test_a_damaged_or_missing_picture_is_drawn_again(tmp_path: Path) -> None:
    _, pictures = run(board(), tmp_path)
    keys = {frame.shot.name: frame.key for frame in compiled(board())}
    (tmp_path / f"{keys['b']}.png").write_bytes(b"half")
    (tmp_path / f"{keys['e']}.json").unlink()
    fresh, again = run(board(), tmp_path)
    assert fresh == ["b", "e"]
    assert again == pictures


def test_a_build_that_was_interrupted_goes_on_where_it_was(tmp_path: Path) -> None:
    class Breaks(Stub):
        def render(
            self, plans: Sequence[RenderPlan], progress: Progress | None = None
        ) -> Sequence[Picture]:
            if len(self.asked) == 2:
                raise KeyboardInterrupt
            return super().render(plans, progress)

    with pytest.raises(KeyboardInterrupt):
        build(
            compiled(board()), Breaks(), PictureShelf(), FrameCache(tmp_path), lambda *_: {},
            Retries(),
        )  # fmt: skip
    assert run(board(), tmp_path)[0] == ["c", "d", "e"]


def test_pictures_of_frames_that_are_gone_are_removed(tmp_path: Path) -> None:
    run(board(), tmp_path)
    told = board()
    run(told | {"frames": told["frames"][:2]}, tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_follower_looks_at_the_picture_that_was_really_drawn(tmp_path: Path) -> None:
    stub, shelf = Stub(), PictureShelf()
    made, _ = build(compiled(board()), stub, shelf, FrameCache(tmp_path), lambda *_: {}, Retries())
    reference = stub.asked[1].reference
    assert reference is not None
    assert reference.picture == made["a"].picture == name_of(png(_noise(stub.asked[0])))
    assert reference.strength == 0.5
    assert json.loads(json.dumps(made["b"].plan))["reference"]["picture"] == made["a"].picture


def test_every_plan_is_checked_before_the_first_is_drawn(tmp_path: Path) -> None:
    stub = Stub()
    frames = compiled(board(canvas={"steps": 51}))
    with pytest.raises(InvalidRequest, match=r"frames\.a\.steps"):
        build(frames, stub, PictureShelf(), FrameCache(tmp_path), lambda *_: {}, Retries())
    assert stub.asked == []


def test_a_drifting_frame_is_drawn_again_within_its_budget_and_flagged(tmp_path: Path) -> None:
    scores = iter([0.1, 0.4, 0.3, 0.9])
    stub = Stub()
    frames = compiled(board(frames=[{"name": "a"}, {"name": "b"}]))
    made, _ = build(
        frames,
        stub,
        PictureShelf(),
        FrameCache(tmp_path),
        lambda *_: {"mika": next(scores)},
        Retries(attempts=3, least=0.5),
    )
    assert (made["a"].attempts, made["a"].likeness, made["a"].drifted) == (
        3,
        {"mika": 0.4},
        ("mika",),
    )
    assert (made["b"].attempts, made["b"].likeness, made["b"].drifted) == (1, {"mika": 0.9}, ())
    assert made["a"].plan["seed"] == stub.asked[0].seed + 1
    assert stub.asked[1].family is not None
    assert stub.asked[1].family.share < 1


def test_what_a_model_cannot_do_is_left_out_and_said(tmp_path: Path) -> None:
    frames = compile_storyboard(Storyboard.model_validate(board()), words_only, "r", {})
    assert frames[1].plan.reference is None
    assert frames[1].left_out == ("latent of 'a': no pictures here",)


def test_words_that_grow_too_long_by_inheritance_name_their_frame() -> None:
    frames = [
        {"name": "a", "background": "far " * 900},
        {"name": "b", "words": "near " * 200, "inherits": [{"background": True}]},
    ]
    with pytest.raises(InvalidRequest, match=r"frames\.b\.words: come to 4\d{3} characters"):
        compiled(board(frames=frames))


def test_two_people_have_references_of_their_own_in_halves_of_the_frame() -> None:
    sha = {name: name_of(name.encode()) for name in ("mika", "coat", "taro")}
    people = {
        "mika": {
            "words": {"identity": "a girl"},
            "pictures": {"identity": [sha["mika"]], "outfit": [sha["coat"]]},
        },
        "taro": {"words": {"identity": "a boy"}, "pictures": {"identity": [sha["taro"]]}},
    }
    told = board(
        characters=people,
        frames=[
            {
                "name": "a",
                "camera": {"shot": "full shot"},
                "characters": {"taro": {"place": "right"}, "mika": {"pose": "waving"}},
            },
            {"name": "b", "camera": {"shot": "extreme close-up"}, "characters": {"mika": {}}},
            {"name": "c", "characters": {"mika": {"outfit": "a dress"}}},
        ],
    )
    masks: dict[str, bytes] = {}
    a, b, c = compile_storyboard(Storyboard.model_validate(told), anything, "r", masks)
    assert a.plan.prompt.startswith("a girl waving and a boy, full shot")
    where = {use.references[0]: use.mask for use in a.plan.identities}
    assert where[sha["mika"]] == where[sha["coat"]] != where[sha["taro"]]
    shelf = PictureShelf()
    left = shelf.open(shelf.put(masks[str(where[sha["mika"]])]))
    assert (left[:, :64] == 255).all()
    assert (left[:, 64:] == 0).all()
    assert [use.references for use in b.plan.identities] == [(sha["mika"],)]
    assert b.plan.identities[0].mask is None
    assert [use.references for use in c.plan.identities] == [(sha["mika"],)]
    assert "wearing a dress" in c.plan.prompt


def learned(
    names: dict[str, str], alone: bool = False, kept: frozenset[str] = frozenset()
) -> list[RenderPlan]:
    """The plans of mika, of both, and of nobody, over a style that all frames share."""
    people = {
        name: PEOPLE[name] | {"lora": {"name": lora, "weight": 0.9}, "lora_alone": name in kept}
        for name, lora in names.items()
    }
    told = board(
        characters=PEOPLE | people,
        canvas={"styles": [{"name": "ink", "weight": 0.5}]},
        frames=[
            {"name": "a", "characters": {"mika": {}}},
            {"name": "b", "characters": {"mika": {"place": "right"}, "taro": {"place": "left"}}},
            {"name": "c", "words": "a street"},
        ],
    )
    frames = compile_storyboard(Storyboard.model_validate(told), anything, "r", {}, alone=alone)
    return [RenderPlan.model_validate(frame.plan.model_dump()) for frame in frames]


def test_what_was_learned_of_a_character_is_worn_where_the_character_is() -> None:
    one, both, nobody = learned({"mika": "m", "taro": "t"})
    assert [(use.name, use.weight) for use in one.styles] == [("ink", 0.5), ("m", 0.9)]
    assert (one.style_strategy, one.styles[1].mask) == (StyleStrategy.SUM, None)
    assert [use.name for use in both.styles] == ["ink", "m", "t"]
    assert both.style_strategy is StyleStrategy.REGIONAL
    right, left = (name_of(png(mask(half, 128, 128))) for half in ((64, 128), (0, 64)))
    assert [use.mask for use in both.styles] == [None, right, left]
    assert [use.name for use in nobody.styles] == ["ink"]


def test_who_was_not_learned_keeps_to_words_beside_somebody_who_was() -> None:
    _, both, _ = learned({"taro": "t"})
    assert [use.name for use in both.styles] == ["ink", "t"]
    assert both.style_strategy is StyleStrategy.REGIONAL


def test_who_keeps_it_to_frames_of_their_own_wears_nothing_beside_others() -> None:
    one, both, _ = learned({"mika": "m", "taro": "t"}, kept=frozenset({"mika"}))
    assert [use.name for use in one.styles] == ["ink", "m"]
    assert [use.name for use in both.styles] == ["ink", "t"]


def test_alone_nobody_wears_what_was_learned() -> None:
    plans = learned({"mika": "m", "taro": "t"}, alone=True)
    assert [[use.name for use in plan.styles] for plan in plans] == [["ink"]] * 3


def test_columns_share_the_width_without_gap() -> None:
    assert columns({"a": "right", "b": "left"}, 129) == {"a": (64, 129), "b": (0, 64)}
    assert columns({"a": "middle", "b": "left"}, 90) == {"a": (30, 60), "b": (0, 30)}
    assert columns({"a": "left"}, 90) == {"a": (0, 90)}
