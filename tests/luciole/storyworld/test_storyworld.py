"""The storyworld: the same seed draws the same world, and what it says of it is true."""

import time

import numpy as np
import pytest

from luciole.storyworld import ATTRIBUTES, Scene, captions, render, sample_scene
from luciole.storyworld.pose import FOREARM, KEYPOINTS, SHIN, THIGH, UPPER_ARM, Build, pose_body


def plain(seed: int, **changes: object) -> Scene:
    """A train scene of one person with some attributes set."""
    scene = next(s for s in map(sample_scene, range(seed, seed + 99)) if len(s.actors) == 1)
    return Scene(**{**{f: getattr(scene, f) for f in Scene.__dataclass_fields__}, **changes})


def test_one_seed_gives_the_same_bytes_every_time() -> None:
    for seed in range(20):
        first, second = render(sample_scene(seed)), render(sample_scene(seed))
        assert first.image.tobytes() == second.image.tobytes()
        assert captions(sample_scene(seed), 3) == captions(sample_scene(seed), 3)


def test_different_seeds_give_different_pictures() -> None:
    pictures = {render(sample_scene(seed), maps=False).image.tobytes() for seed in range(50)}
    assert len(pictures) == 50


@pytest.mark.parametrize(("width", "height"), [(128, 128), (96, 160), (320, 192)])
def test_every_map_has_the_size_that_was_asked_for(width: int, height: int) -> None:
    picture = render(sample_scene(4), width, height)
    people = len(sample_scene(4).actors)
    assert picture.image.shape == (height, width, 3)
    assert picture.depth is not None
    assert picture.depth.shape == (height, width)
    assert picture.masks is not None
    assert picture.masks.shape == (people, height, width)
    assert picture.keypoints.shape == (people, 18, 3)


def test_leaving_the_maps_out_does_not_change_the_picture() -> None:
    for seed in range(10):
        scene = sample_scene(seed)
        assert np.array_equal(render(scene).image, render(scene, maps=False).image)


def test_visible_joints_lie_on_their_person() -> None:
    torso = [KEYPOINTS.index(name) for name in ("neck", "nose", "right_hip", "left_hip")]
    hits, seen = 0, 0
    for seed in range(80):
        scene = sample_scene(seed)
        if len(scene.actors) > 1:
            continue
        picture = render(scene)
        assert picture.masks is not None
        for x, y, visible in picture.keypoints[0, torso]:
            if visible:
                seen += 1
                hits += bool(picture.masks[0, int(y), int(x)])
    assert hits >= 0.98 * seen


def test_people_are_nearer_than_what_is_behind_them() -> None:
    for seed in range(30):
        picture = render(sample_scene(seed))
        assert picture.depth is not None
        assert picture.masks is not None
        person = picture.masks.any(axis=0)
        assert picture.depth[person].min() > picture.depth[~person].max()


def test_bones_keep_their_length_in_every_action() -> None:
    for action in ATTRIBUTES["action"]:
        joints = pose_body(action, facing=1, jitter=7, build=Build()).joints
        for side in ("left", "right"):
            for a, b, length in (
                ("shoulder", "elbow", UPPER_ARM),
                ("elbow", "wrist", FOREARM),
                ("hip", "knee", THIGH),
                ("knee", "ankle", SHIN),
            ):
                bone = np.subtract(joints[f"{side}_{a}"], joints[f"{side}_{b}"])
                assert np.hypot(*bone) == pytest.approx(length)


def test_facing_left_mirrors_facing_right() -> None:
    right = pose_body("walking", 1, 5, Build()).joints
    left = pose_body("walking", -1, 5, Build()).joints
    assert left["left_knee"] == pytest.approx((-right["right_knee"][0], right["right_knee"][1]))
    assert left["nose"] == pytest.approx((-right["nose"][0], right["nose"][1]))


def test_train_and_held_out_share_no_identity_and_no_place() -> None:
    train = [sample_scene(seed) for seed in range(1500)]
    held = [sample_scene(seed, "held_out") for seed in range(400)]
    people = {actor.identity for scene in train for actor in scene.actors}
    places = {(s.setting, s.weather, s.time) for s in train}
    assert not any(actor.identity in people for scene in held for actor in scene.actors)
    assert not any((s.setting, s.weather, s.time) in places for s in held)


def test_every_value_of_every_attribute_occurs_in_both_splits() -> None:
    for split in ("train", "held_out"):
        labels = [sample_scene(seed, split).labels() for seed in range(3000)]
        for kind, values in ATTRIBUTES.items():
            assert {label[kind] for label in labels} == set(values), (split, kind)


def test_captions_differ_in_wording_and_name_what_is_drawn() -> None:
    for seed in range(60):
        scene = sample_scene(seed)
        words = captions(scene, 0)
        assert len(set(words)) >= 3
        assert all(text == text.lower() and text.isascii() for text in words)
        if len(scene.actors) == 1:
            assert any(scene.labels()["hair_color"] in text for text in words)


@pytest.mark.parametrize("kind", ["hair_color", "outfit_color", "weather", "time", "setting"])
def test_changing_an_attribute_changes_the_picture(kind: str) -> None:
    scene = plain(11, shot="full shot", angle="eye level", weather="clear", time="day")
    before = render(scene).image
    for value in ATTRIBUTES[kind]:
        if scene.labels()[kind] == value:
            continue
        if kind in Scene.__dataclass_fields__:
            after = plain(
                11,
                **{f: getattr(scene, f) for f in ("shot", "angle")},
                **{"weather": "clear", "time": "day", kind: value},
            )
        else:
            actor = scene.actors[0]
            look = type(actor.identity)(**{**vars(actor.identity), kind: value})
            after = plain(
                11,
                shot=scene.shot,
                angle=scene.angle,
                weather="clear",
                time="day",
                actors=(type(actor)(**{**vars(actor), "identity": look}),),
            )
        assert (render(after).image != before).any(axis=-1).mean() > 0.01


def test_a_picture_that_is_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16 pixels"):
        render(sample_scene(0), 8, 128)


def test_at_least_75_pictures_a_second_are_drawn_on_each_core() -> None:
    scenes = [sample_scene(seed) for seed in range(100)]
    start = time.process_time()
    for scene in scenes:
        render(scene, maps=False)
    assert 100 / (time.process_time() - start) > 75
