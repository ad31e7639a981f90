"""The whole way with a real engine: a character from two pictures, and a storyboard of it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx

from luciole.bundle import Bundle
from serving.settings import Settings
from tests.serving.orchestration.characters.colours import drawing

ROOT = Path(__file__).parents[2]
STORY = {
    "title": "Two frames",
    "canvas": {"width": 64, "height": 64, "steps": 2},
    "chain": {"background": True, "noise": 0.5, "latent": {"strength": 0.3}},
    "frames": [
        {"name": "first", "background": "in rain", "characters": {"mika": {"pose": "walking"}}},
        {"name": "second", "characters": {"mika": {}}},
    ],
}


def worker(settings: Settings) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "LUCIOLE_BUNDLE": str(settings.bundle),
        "LUCIOLE_ENGINE": "onnx",
        "LUCIOLE_THREADS": "1",
        "LUCIOLE_STATE_FOLDER": str(settings.state_folder),
        "LUCIOLE_LOG_LEVEL": "ERROR",
    }
    return subprocess.Popen([sys.executable, "-m", "serving", "worker"], cwd=ROOT, env=environment)


def test_a_character_from_two_pictures_plays_in_a_storyboard(
    settings: Settings,
    guided_bundle: Bundle,
    serve: Callable[[Settings], AbstractContextManager[str]],
    tmp_path: Path,
) -> None:
    place = {"bundle": guided_bundle.path, "state_folder": tmp_path, "credentials": True}
    changed = settings.model_copy(update=place)
    process = worker(changed)
    try:
        with serve(changed) as address, httpx.Client(base_url=address, timeout=60) as client:
            shown = story(client)
            sheet = [one for one in shown["files"] if one["name"] == "contact-sheet.png"]
            assert client.get(sheet[0]["url"]).content.startswith(b"\x89PNG")
    finally:
        process.terminate()
        process.wait()


def story(client: httpx.Client) -> dict[str, Any]:
    shas = [
        client.post("/api/v1/assets", content=drawing(seed, size=64)).json()["sha256"]
        for seed in (1, 2)
    ]
    card = {
        "name": "Mika",
        "words": {"identity": "a girl with red hair"},
        "pictures": [{"sha256": sha} for sha in shas],
        "consent": {"basis": "fictional", "given_by": "a test"},
    }
    character = client.post("/api/v1/characters", json=card).json()
    document = STORY | {"characters": {"mika": {"id": character["id"]}}}
    board = client.post("/api/v1/storyboards", json=document).json()["id"]
    accepted = client.post(f"/api/v1/storyboards/{board}/builds", json={}).json()
    until = time.monotonic() + 60
    while True:
        shown: dict[str, Any] = client.get(f"/api/v1/jobs/{accepted['job_id']}").json()
        if shown["endedAt"] is not None:
            break
        assert time.monotonic() < until
        time.sleep(0.1)
    assert shown["status"] == "succeeded", shown["error"]
    frames = client.get(f"/api/v1/storyboards/{board}/frames").json()
    assert frames["stale"] == 0
    for frame in frames["frames"]:
        assert frame["left_out"] == []
        assert -1 <= frame["likeness"]["mika"] <= 1
    assert frames["frames"][1]["looks_at"] == ["first"]
    return shown
