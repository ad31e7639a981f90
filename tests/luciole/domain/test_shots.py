"""What frames take from each other, and the mistakes that storyboards can hold."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luciole.domain import InvalidRequest
from luciole.domain.shots import Shot, shots
from luciole.domain.storyboard import Storyboard

PEOPLE = {"mika": {"words": {"identity": "a girl"}}, "taro": {"words": {"identity": "a boy"}}}


def board(*frames: dict[str, Any], **more: Any) -> Storyboard:
    return Storyboard.model_validate({"title": "t", "characters": PEOPLE, "frames": frames, **more})


def resolved(*frames: dict[str, Any], **more: Any) -> dict[str, Shot]:
    return {shot.name: shot for shot in shots(board(*frames, **more))}


def frame(name: str, *links: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "inherits": links, **more}


def test_a_frame_takes_exactly_what_its_link_says() -> None:
    first = frame("a", background="a street", lighting="night", palette="pale")
    found = resolved(first, frame("b", {"background": True, "palette": True}))
    assert (found["b"].background, found["b"].lighting, found["b"].palette) == (
        "a street",
        None,
        "pale",
    )


def test_what_a_frame_says_itself_wins() -> None:
    found = resolved(
        frame("a", background="a street"), frame("b", {"background": True}, background="a park")
    )
    assert found["b"].background == "a park"


def test_an_empty_background_takes_the_place_of_an_inherited_one() -> None:
    found = resolved(
        frame("a", background="a street"), frame("b", {"background": True}, background="")
    )
    assert found["b"].background == ""


def test_a_link_may_reach_any_frame_and_is_drawn_after_it() -> None:
    found = resolved(
        frame("a", {"from": "c", "lighting": True}),
        frame("b"),
        frame("c", lighting="noon"),
    )
    assert found["a"].lighting == "noon"
    assert list(found) == ["c", "a", "b"]


def test_the_chain_links_every_frame_without_links_to_the_one_before() -> None:
    frames = [{"name": "a", "background": "a park"}, {"name": "b"}, frame("c"), {"name": "d"}]
    found = resolved(*frames, chain={"background": True})
    assert [found[name].background for name in "abcd"] == ["a park", "a park", None, None]


def test_characters_come_along_dressed_but_take_their_pose_only_where_asked() -> None:
    there = {"mika": {"pose": "walking", "outfit": "a hat", "place": "left"}}
    found = resolved(
        frame("a", characters=there),
        frame("b", {"characters": True}),
        frame("c", {"characters": ["mika"], "poses": True}),
        frame("d", {"from": "a", "characters": True}, characters={"mika": {"pose": "sitting"}}),
    )
    assert found["b"].roles["mika"].model_dump() == {
        "pose": None,
        "outfit": "a hat",
        "place": "left",
    }
    assert found["c"].roles["mika"].pose is None
    assert found["d"].roles["mika"].pose == "sitting"
    assert found["d"].roles["mika"].outfit == "a hat"


def test_poses_are_kept_along_a_chain_of_links() -> None:
    chain = {"characters": True, "poses": True}
    frames = [{"name": "a", "characters": {"mika": {"pose": "running"}}}, {"name": "b"}]
    assert resolved(*frames, chain=chain)["b"].roles["mika"].pose == "running"


def test_a_chain_of_noise_is_one_family_whose_head_is_its_noise_alone() -> None:
    found = resolved(
        frame("a"), frame("b", {"noise": 0.5}), frame("c", {"noise": 0.25}), frame("d")
    )
    families = {name: (shot.family.seed, shot.family.share) for name, shot in found.items()}
    head = found["a"].seed
    assert families == {
        "a": (head, 1.0),
        "b": (head, 0.5),
        "c": (head, 0.25),
        "d": (found["d"].seed, 1.0),
    }


def test_frames_told_after_the_anchor_look_back_to_it_unless_they_do_not_want_to() -> None:
    found = resolved(
        frame("a"),
        frame("b"),
        frame("c"),
        frame("d", anchored=False),
        anchor={"frame": "b", "strength": 0.4},
    )
    anchors = {name: shot.anchor.frame if shot.anchor else None for name, shot in found.items()}
    assert anchors == {"a": None, "b": None, "c": "b", "d": None}
    assert found["c"].looks_at == ("b",)


@given(st.lists(st.text("abcdefgh", min_size=1, max_size=3), min_size=2, unique=True))
def test_a_new_frame_leaves_the_noise_of_all_others_as_it_was(names: list[str]) -> None:
    before = resolved(*map(frame, names[1:]))
    after = resolved(*map(frame, names))
    assert {name: after[name].seed for name in before} == {
        name: shot.seed for name, shot in before.items()
    }


@pytest.mark.parametrize(
    ("frames", "more", "field", "words"),
    [
        ([frame("a"), frame("a")], {}, "frames.1.name", "already"),
        ([frame("a", {"from": "z"})], {}, "frames.a.inherits.0.from", "no frame 'z'"),
        ([frame("a", {})], {}, "frames.a.inherits.0.from", "first frame"),
        ([frame("a", {"from": "a"})], {}, "frames.a.inherits", "a <- a"),
        (
            [frame("a", {"from": "b"}), frame("b", {"from": "a"})],
            {},
            "frames.a.inherits",
            "a <- b <- a",
        ),
        ([frame("a", characters={"eve": {}})], {}, "frames.a.characters", "'eve'"),
        (
            [frame("a"), frame("b", {"characters": ["mika"]})],
            {},
            "frames.b.inherits.0.characters",
            "'mika' is not in frame 'a'",
        ),
        (
            [
                frame("a"),
                frame("b"),
                frame("c", {"noise": 0.5}, {"from": "a", "noise": 0.5}),
            ],
            {},
            "frames.c.inherits",
            "takes noise from 'b' and 'a'",
        ),
        (
            [frame("a", characters={"mika": {"place": "left"}, "taro": {"place": "left"}})],
            {},
            "frames.a.characters.taro.place",
            "'mika' stands left",
        ),
        ([frame("a")], {"anchor": {"frame": "z"}}, "anchor.frame", "no frame 'z'"),
        (
            [frame("a", {"from": "b"}), frame("b")],
            {"anchor": {"frame": "a"}},
            "frames.a.inherits",
            "circle",
        ),
    ],
)
def test_a_mistake_names_its_frame_and_field(
    frames: list[dict[str, Any]], more: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        resolved(*frames, **more)
    assert caught.value.field == field
    assert words in caught.value.message
