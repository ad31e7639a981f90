"""The content policy stands before every route that draws, and behind what draws at once."""

import base64
import io
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from PIL import Image

from serving.gateway.drawing import Drawing
from serving.orchestration.policy import ContentPolicy, PolicyRules

RULES = """
categories:
  test:
    about: a category for tests
    words: [forbidden]
    threshold: 0.5
"""


class Red:
    """A classifier of pictures for which red ones are unsafe."""

    def picture(self, pixels: Any) -> dict[str, float]:
        return {"test": float(pixels[0, 0, 0] > 200)}


@pytest.fixture(scope="module")
def policed(
    easel: Any, painting: Drawing, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    state = tmp_path_factory.mktemp("policed")
    rules = state / "policy.yaml"
    rules.write_text(RULES)
    policy = ContentPolicy(PolicyRules.read(rules), None, Red())
    wording: Any = SimpleNamespace(policy=policy)
    with easel(state, drawing=replace(painting, wording=wording)) as address:
        yield address


def draw(address: str, prompt: str, seed: int, **more: Any) -> httpx.Response:
    body = {"prompt": prompt, "seed": seed, "size": "64x64", "num_inference_steps": 1} | more
    return httpx.post(f"{address}/v1/images/generations", json=body)


def test_words_are_refused_on_every_way_to_a_picture(policed: str) -> None:
    target = io.BytesIO()
    Image.new("RGB", (64, 64)).save(target, "PNG")
    edit = httpx.post(
        f"{policed}/v1/images/edits",
        data={"prompt": "forbidden"},
        files={"image": target.getvalue()},
    )
    job = httpx.post(f"{policed}/api/v1/generations", json={"prompt": "forbidden"})
    assert job.json()["code"] == "prompt_unsafe"
    for answer in (draw(policed, "forbidden", 1), edit):
        assert answer.json()["error"]["code"] == "prompt_unsafe"
    assert {answer.status_code for answer in (job, edit)} == {400}
    assert httpx.get(f"{policed}/api/v1/jobs").json()["items"] == []


def test_a_picture_that_is_unsafe_does_not_leave(policed: str) -> None:
    assert base64.b64decode(draw(policed, "fine", 1).json()["data"][0]["b64_json"])
    refused = draw(policed, "fine", 255)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "image_unsafe")
    stream = draw(policed, "fine", 255, stream=True).text
    assert "image_unsafe" in stream
    assert "b64_json" not in stream
