"""Stories are read from what the storyboard command leaves."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from evals.__main__ import run
from evals.checkpoint import Checkpoint, kind_of
from evals.errors import EvaluationError
from evals.painters.choice import painter_of
from evals.sample import Settings
from evals.stories import stories
from evals.tasks.story import Story
from luciole.domain import SolverName
from luciole.domain.shots import shots
from luciole.domain.storyboard import Storyboard
from luciole.storyworld import Scene, render, sample_scene
from tests.evals.test_run import config

JUDGE = "evals/weights/judge"
SETTINGS = Settings(steps=2, guidance_scale=3.5, solver=SolverName.EULER)
PLACES = ("park, day", "street, day", "street, night", "beach, night", "beach, sunset", "park, day")


def board(title: str) -> Storyboard:
    people = {name: {"words": {"identity": name}} for name in ("mika", "juno")}
    frames = [
        {
            "name": f"f{i}",
            "background": place.split(", ")[0],
            "lighting": place.split(", ")[1],
            "characters": {("mika", "juno")[i % 2]: {}},
        }
        for i, place in enumerate(PLACES)
    ]
    return Storyboard.model_validate({"title": title, "characters": people, "frames": frames})


def scene(i: int, mixed: bool) -> Scene:
    """Mika, then Juno, as their places say; with `mixed` frames show whoever comes."""
    people = [sample_scene(seed).actors[0] for seed in (1, 5, 6, 9, 12, 15)]
    actor = people[i if mixed else i % 2]
    setting, time = PLACES[i].split(", ")
    plain = sample_scene(40 + i)
    return replace(
        plain,
        actors=(replace(actor, jitter=i),),
        setting=setting,
        time=time,
        weather="clear",
        shot="medium shot",
        angle="eye level",
    )


def drawn(folder: Path, titles: list[str], mixed: bool = False) -> Path:
    for title in titles:
        place = folder / title
        (place / "frames").mkdir(parents=True)
        entries: list[Any] = []
        for i, shot in enumerate(shots(board(title))):
            file = f"frames/{i}.png"
            Pillow.fromarray(render(scene(i, mixed), maps=False).image).save(place / file)
            entries.append({"name": shot.name, "file": file, "shot": shot.model_dump(mode="json")})
        told = {"format_version": 1, "title": title, "frames": entries}
        (place / "manifest.json").write_text(json.dumps(told))
    return folder


def test_characters_and_places_are_followed_from_frame_to_frame(tmp_path: Path) -> None:
    titles = ["one", "two", "three"]
    good, bad = drawn(tmp_path / "good", titles), drawn(tmp_path / "bad", titles, mixed=True)
    file = tmp_path / "mika.png"
    Pillow.fromarray(render(scene(0, mixed=False), maps=False).image).save(file)
    task = Story(str(good), JUDGE, JUDGE, {"mika": [str(file)]})
    samples = task.samples(0, 128)
    found = {}
    for folder in (good, bad):
        assert kind_of(Checkpoint("x", str(folder))) == "storyboards"
        painter = painter_of(Checkpoint("x", str(folder)), SETTINGS)
        found[folder] = task.scores(samples, np.stack(painter.draw(samples)))
    assert {len(scores) for scores in found[good].values()} == {3}
    means = {folder: {n: s.mean() for n, s in one.items()} for folder, one in found.items()}
    assert means[good]["story/same_character"] > means[bad]["story/same_character"] + 0.2
    assert means[good]["story/same_character"] > 0.6
    assert means[good]["story/like_reference"] > means[bad]["story/like_reference"] + 0.2
    assert means[good]["story/like_reference"] > 0.6
    assert means[good]["story/kept_apart"] > 0.6
    assert means[good]["story/changed"] > 0.7


def test_stories_are_compared_story_by_story(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    titles = [f"story {number}" for number in range(10)]
    good, bad = drawn(tmp_path / "good", titles), drawn(tmp_path / "bad", titles, mixed=True)
    words = [f"checkpoints=[alone={bad}, linked={good}]", f"frames={good}", f"out={tmp_path}/out"]
    gate = "gate=story/same_character rises by 0.1"
    assert run(config("suite=story", *words, f"cache={tmp_path}/renders", gate)) == 0
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {row["count"] for row in told["metrics"]} == {10}
    (good / "story 3" / "manifest.json").unlink()
    with pytest.raises(EvaluationError, match="9 are too few"):
        run(config("suite=story", *words, f"cache={tmp_path}/others"))


def test_stories_of_one_title_are_told_apart(tmp_path: Path) -> None:
    for seed in ("1", "2"):
        drawn(tmp_path / seed, ["one"])
    first, second = stories(tmp_path)
    assert not {frame.story for frame in first} & {frame.story for frame in second}


def test_without_references_nobody_is_compared_with_one(tmp_path: Path) -> None:
    folder = drawn(tmp_path, ["one"])
    names = [one.name for one in Story(str(folder), JUDGE, JUDGE).metrics]
    assert "story/like_reference" not in names
    assert "story/same_character" in names


def test_what_a_shot_does_not_say_is_not_counted(tmp_path: Path) -> None:
    [story] = stories(drawn(tmp_path, ["one"]))
    assert story[0].promised == {"setting": "park", "time": "day"}
    assert [frame.characters for frame in story[:2]] == [{"mika"}, {"juno"}]


def test_a_story_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="holds no storyboard"):
        stories(tmp_path)
    folder = drawn(tmp_path / "a", ["one"])
    (folder / "one" / "frames" / "2.png").write_bytes(b"no picture")
    with pytest.raises(EvaluationError, match=r"2\.png: is missing or damaged"):
        stories(folder)
    manifest = folder / "one" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format_version": 1', '"format_version": 9'))
    with pytest.raises(EvaluationError, match="has format 9"):
        stories(folder)
    manifest.write_text('{"frames": 3}')
    with pytest.raises(EvaluationError, match="is no storyboard's manifest"):
        stories(folder)
