"""What the demo asks the service for, over HTTP as any caller would."""

import base64
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import httpx

from luciole.domain import EngineError

SECONDS_PER_PICTURE = 120.0
SECONDS_PER_STORY = 600.0


@dataclass(frozen=True)
class Shown:
    """A drawn picture as the service delivered it; `seconds` as its caller waited."""

    prompt: str
    seed: int
    seconds: float
    engine: str
    png: bytes


@dataclass(frozen=True)
class Character:
    """Whom the service remembers: the pictures it was made of, and who is found by other words."""

    id: str
    name: str
    words: Mapping[str, str]
    references: Sequence[bytes]
    asked: str
    found: Sequence[tuple[str, float]]
    """Names with scores, the best first."""


@dataclass(frozen=True)
class Panel:
    """A frame of the story; `likeness` of the character to its pictures, -1 to 1."""

    name: str
    prompt: str
    seed: int
    likeness: float | None
    looks_at: Sequence[str]
    left_out: Sequence[str]
    png: bytes


@dataclass(frozen=True)
class Story:
    """A drawn storyboard; `seconds` from the order to the album."""

    title: str
    panels: Sequence[Panel]
    sheet: bytes
    animatic: bytes
    seconds: float


class Asking:
    """A caller of one service; EngineError with its words when it refuses."""

    def __init__(self, address: str) -> None:
        self._http = httpx.Client(base_url=address, timeout=SECONDS_PER_PICTURE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def picture(self, prompt: str, seed: int, style: str | None = None) -> Shown:
        """One picture, as OpenAI's clients ask for it; with a style its name."""
        began = time.perf_counter()
        body: dict[str, Any] = {"prompt": prompt, "seed": seed}
        if style is not None:
            body["styles"] = [{"name": style}]
        answer = self._post("/v1/images/generations", body)
        png = base64.b64decode(answer["data"][0]["b64_json"])
        return Shown(prompt, seed, time.perf_counter() - began, answer["engine"], png)

    def styles(self) -> dict[str, str]:
        """Names of the styles that are served, and the reasons for those that are not."""
        answer = self._http.get("/v1/styles").json()
        served = {style["name"]: "" for style in answer["data"]}
        return served | {one["file"].partition(".")[0]: one["why"] for one in answer["refused"]}

    def character(
        self, name: str, words: Mapping[str, str], pictures: Sequence[bytes], asked: str
    ) -> Character:
        """Have somebody remembered by pictures and words, and look for them by other words."""
        kept = [self._sent("/api/v1/assets", content=one)["sha256"] for one in pictures]
        card = {
            "name": name,
            "words": words,
            "pictures": [{"sha256": sha256} for sha256 in kept],
            "consent": {"basis": "fictional", "given_by": "the demo"},
        }
        made = self._post("/api/v1/characters", card)
        matches = self._post("/api/v1/characters/search", {"words": asked, "count": 3})
        found = [(one["character"]["name"], one["score"]) for one in matches]
        shown = [self._bytes(one["url"]) for one in made["references"]]
        return Character(made["id"], name, words, shown, asked, found)

    def story(self, document: Mapping[str, Any], progress: Callable[[int, int], None]) -> Story:
        """Have a storyboard drawn by the workers; `progress` hears (frames done, frames in all)."""
        began = time.perf_counter()
        board = self._post("/api/v1/storyboards", document)["id"]
        build = self._post(f"/api/v1/storyboards/{board}/builds", {})
        job = self._ended(build["job_id"], progress)
        files = {one["name"]: one["url"] for one in job["files"]}
        manifest = json.loads(self._bytes(files["manifest.json"]))
        names = {one["key"]: one["name"] for one in manifest["frames"]}
        panels = [
            Panel(
                name=one["name"],
                prompt=one["plan"]["prompt"],
                seed=one["plan"]["seed"],
                likeness=next(iter((one["likeness"] or {}).values()), None),
                looks_at=[names[key] for key in one["looks_at"]],
                left_out=one["left_out"],
                png=self._bytes(files[one["file"]]),
            )
            for one in manifest["frames"]
        ]
        sheet, animatic = (self._bytes(files[n]) for n in ("contact-sheet.png", "animatic.gif"))
        seconds = time.perf_counter() - began
        return Story(manifest["title"], panels, sheet, animatic, seconds)

    def _ended(self, job: str, progress: Callable[[int, int], None]) -> dict[str, Any]:
        until = time.monotonic() + SECONDS_PER_STORY
        while True:
            shown: dict[str, Any] = self._http.get(f"/api/v1/jobs/{job}").json()
            progress(len(shown["outputs"]), shown["total"])
            if shown["status"] == "succeeded":
                return shown
            if shown["endedAt"] is not None:
                words = (shown["error"] or {}).get("message", "no reason was given")
                raise EngineError("storyboard", f"{shown['state']}: {words}")
            if time.monotonic() > until:
                raise EngineError("storyboard", f"is not drawn after {SECONDS_PER_STORY:g} s")
            time.sleep(0.2)

    def _post(self, path: str, body: Any) -> Any:
        return self._sent(path, json=body)

    def _sent(self, path: str, **what: Any) -> Any:
        answer = self._http.post(path, **what)
        said = answer.json()
        if not answer.is_success:
            words = said["error"]["message"] if "error" in said else said["detail"]
            raise EngineError("service", words)
        return said

    def _bytes(self, url: str) -> bytes:
        return self._http.get(url).raise_for_status().content
