"""Prompts and styles over HTTP, from a real server whose painter needs no engine."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from serving.bootstrap import configure_logging, prepare_state
from serving.demo.command import serving
from serving.gateway.app import create_app
from serving.gateway.drawing import Drawing
from serving.orchestration.wording import Wording, WordingChoices
from serving.run import address_of, listening
from serving.settings import Settings
from tests.serving.gateway.words import bundle, save_style

WISH = "Anime girl walking in rain"


@pytest.fixture(scope="module")
def address(painting: Drawing, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("words")
    (folder / "wildcards").mkdir()
    (folder / "wildcards" / "colour.txt").write_text("# colours\nred\n\nblue\n")
    (folder / "styles").mkdir()
    for seed, name in enumerate(("ink", "neon")):
        save_style(folder / "styles", name, seed)
    (folder / "styles" / "ink.png").write_bytes(b"a picture")
    (folder / "styles" / "broken.safetensors").write_bytes(b"no style")
    choices = WordingChoices(wildcards=folder / "wildcards", styles=folder / "styles")
    settings = Settings(port=0, state_folder=folder / "state", log_level="ERROR")
    configure_logging(settings.log_level)
    prepare_state(settings)
    drawing = replace(painting, wording=Wording.of(bundle(), choices))
    with (
        listening(settings) as door,
        serving(create_app(drawing, settings), address_of(door), door) as there,
    ):
        yield f"{there}/v1"


def post(address: str, path: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{address}/{path}", json=body)


def refused(answer: httpx.Response, status: int) -> tuple[str, str]:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    return error["param"], error["code"]


def test_a_wish_is_expanded_and_every_change_has_an_id_to_refuse_it(address: str) -> None:
    whole = post(address, "prompts/expand", prompt=WISH).json()
    assert whole["written"] == (
        "1girl, walking, cinematic lighting, detailed background, rain particles, "
        "24fps storyboard style"
    )
    assert whole["negative_written"].startswith("lowres, blurry")
    ids = [one["change"]["id"] for one in whole["proposals"]]
    nothing = post(address, "prompts/expand", prompt=WISH, refuse=ids).json()
    assert (nothing["written"], nothing["negative_written"]) == (WISH, "")
    assert not any(one["taken"] for one in nothing["proposals"])


def test_a_prompt_is_parsed_with_its_weights_its_windows_and_what_nobody_taught(
    address: str,
) -> None:
    typed = "a woman in (rain:1.3), __colour__ coat <lora:ink:0.8>"
    found = post(address, "prompts/parse", prompt=typed, seed=3).json()
    again = post(address, "prompts/parse", prompt=typed, seed=3).json()
    assert found == again
    assert found["prompt"] in {f"a woman in rain, {colour} coat" for colour in ("red", "blue")}
    assert found["styles"] == [{"name": "ink", "weight": 0.8, "mask": None}]
    [loud] = found["emphasis"]
    assert found["prompt"][loud["start"] : loud["end"]] == "rain"
    assert (loud["weight"], loud["negative"]) == (1.3, False)
    [woman] = found["untaught"]
    assert (woman["text"], woman["nearest"]) == ("woman", "girl")
    assert typed[woman["origin"]["start"] : woman["origin"]["end"]] == "woman"
    assert (found["windows"]["count"], found["windows"]["room"]) == (1, 75)


def test_styles_bring_their_triggers(address: str) -> None:
    asked = {"prompt": "a girl <lora:ink:0.8>", "expanders": [], "styles": ["neon"]}
    found = post(address, "prompts/expand", **asked).json()
    assert found["written"] == "a girl, neon style, ink style <lora:ink:0.8>"
    assert found["untaught"] == []


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({"prompt": "a nude woman"}, 400, ("prompt", "prompt_unsafe")),
        ({"prompt": "a girl", "negative_prompt": "clothes"}, 400,
         ("negative_prompt", "prompt_unsafe")),
        ({"prompt": "a n{u|u}de woman"}, 400, ("prompt", "prompt_unsafe")),
        ({"prompt": "a girl", "expanders": ["cinema"]}, 400, ("expanders", "invalid_request")),
        ({"prompt": "a girl", "refuse": ["storyboard/x"]}, 400, ("refuse", "invalid_request")),
        ({"prompt": "a girl", "styles": ["sepia"]}, 400, ("styles", "invalid_request")),
        ({"prompt": "[a:b:0.5]"}, 400, ("prompt", "invalid_request")),
        ({"prompt": "a girl <lora:ink:3>"}, 400, ("prompt", "invalid_request")),
        ({"prompt": "(rain:1.3)", "write": "plain"}, 400, ("syntax", "invalid_request")),
        ({"prompt": "a girl", "surprise": 1}, 400, ("surprise", "invalid_request")),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_its_field(
    address: str, body: dict[str, Any], status: int, error: tuple[str, str]
) -> None:
    assert refused(post(address, "prompts/expand", **body), status) == error


def test_the_packs_are_listed_with_their_rules(address: str) -> None:
    packs = {pack["name"]: pack for pack in httpx.get(f"{address}/prompts/packs").json()}
    assert set(packs) == {"pocket", "storyboard"}
    assert packs["storyboard"]["rules"][0]["id"] == "storyboard/several-girls"


def test_styles_are_listed_and_what_is_none_with_the_reason(address: str) -> None:
    listed = httpx.get(f"{address}/styles").json()
    assert [card["name"] for card in listed["data"]] == ["ink", "neon"]
    assert listed["data"][0]["triggers"] == ["ink style"]
    [broken] = listed["refused"]
    assert broken["file"] == "broken.safetensors"
    preview = httpx.get(f"{address}/styles/ink/preview")
    assert (preview.content, preview.headers["content-type"]) == (b"a picture", "image/png")
    assert httpx.get(f"{address}/styles/neon/preview").status_code == 404


def test_a_blend_says_what_to_expect_before_anything_is_drawn(address: str) -> None:
    parts = [{"name": "ink", "weight": 0.6, "blocks": {"down": 0.5}}, {"name": "neon"}]
    blended = post(address, "styles/blend", styles=parts).json()
    first = blended["styles"][0]
    assert (first["name"], first["weight"]) == ("ink@down=0.5", 0.6)
    [pair] = blended["interference"]
    assert 0 < pair["score"] <= 1
    assert pair["verdict"] in {"apart", "noticed", "strong"}
    assert refused(post(address, "styles/blend", styles=[{"name": "sepia"}]), 400) == (
        "styles",
        "invalid_request",
    )
