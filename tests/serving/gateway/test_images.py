"""The images route through a real server: OpenAI's client, our knobs, and every refusal."""

import base64
import io
import re
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from openai import OpenAI
from PIL import Image

INFOTEXT = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
FAST = {"num_inference_steps": 2}


def post(gateway: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{gateway}/v1/images/generations", json=FAST | body, timeout=60)


def opened(picture: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(picture["b64_json"])))


def test_the_openai_client_gets_a_png(openai_client: OpenAI) -> None:
    answer = openai_client.images.generate(
        prompt="anime girl walking in rain", n=2, size="128x128", extra_body=FAST
    )
    assert answer.data is not None
    assert len(answer.data) == 2
    for datum in answer.data:
        assert datum.b64_json is not None
        with Image.open(io.BytesIO(base64.b64decode(datum.b64_json))) as picture:
            assert (picture.format, picture.size) == ("PNG", (128, 128))


def test_the_openai_client_raises_its_own_error_and_names_the_field(openai_client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        openai_client.images.generate(prompt="a girl", size="12x12")
    assert caught.value.param == "size"
    assert caught.value.code == "invalid_request"
    assert caught.value.type == "invalid_request_error"


def test_the_openai_client_lists_the_one_model_and_may_name_it(openai_client: OpenAI) -> None:
    [model] = openai_client.models.list().data
    answer = openai_client.images.generate(prompt="a girl", model=model.id, extra_body=FAST)
    assert answer.data is not None


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(gateway: str) -> None:
    first, again, other = (
        post(gateway, prompt="a girl", seed=seed).json()["data"][0] for seed in (1, 1, 2)
    )
    assert first == again
    assert first["b64_json"] != other["b64_json"]


def test_each_picture_says_its_seed_and_is_drawn_again_by_it(gateway: str) -> None:
    both = post(gateway, prompt="a girl", n=2, seed=7).json()["data"]
    assert [picture["seed"] for picture in both] == [7, 8]
    alone = post(gateway, prompt="a girl", seed=8).json()["data"][0]
    second, again = (np.asarray(opened(one), np.int16) for one in (both[1], alone))
    assert np.abs(second - again).max() <= 2


def test_without_a_seed_every_request_gets_its_own(gateway: str) -> None:
    seeds = {post(gateway, prompt="a girl").json()["data"][0]["seed"] for _ in range(2)}
    assert len(seeds) == 2


def test_the_png_carries_what_drew_it_as_other_tools_read_it(gateway: str) -> None:
    answer = post(gateway, prompt="a girl, rain", negative_prompt="fog", seed=5, solver="euler")
    words = opened(answer.json()["data"][0]).text["parameters"]  # type: ignore[attr-defined]
    prompt, negative, facts = words.split("\n")
    assert prompt == "a girl, rain"
    assert negative == "Negative prompt: fog"
    found = dict(INFOTEXT.findall(facts))
    expected = {
        "Steps": "2",
        "Sampler": "Euler",
        "CFG scale": "3.5",
        "Seed": "5",
        "Size": "128x128",
    }
    assert expected.items() <= found.items()
    assert re.fullmatch("[0-9a-f]{10}", found["Model hash"])


def test_less_guidance_along_the_picture_is_told_by_the_picture(open_easel: str) -> None:
    answer = post(open_easel, prompt="a girl", guidance_eta=0.25)
    words = opened(answer.json()["data"][0]).text["parameters"]  # type: ignore[attr-defined]
    assert "Guidance eta: 0.25" in words


@pytest.mark.parametrize("form", ["webp", "jpeg"])
def test_other_formats_carry_it_too_and_shrink_with_compression(gateway: str, form: str) -> None:
    large, small = (
        post(gateway, prompt="a girl", seed=1, output_format=form, output_compression=c).json()
        for c in (95, 10)
    )
    assert large["output_format"] == form
    picture = opened(large["data"][0])
    assert picture.format == form.upper()
    comment = picture.getexif().get_ifd(0x8769)[0x9286]
    assert "a girl" in comment.removeprefix(b"UNICODE\0").decode("utf-16-be")
    assert len(small["data"][0]["b64_json"]) < len(large["data"][0]["b64_json"])


def test_words_that_look_like_the_answer_come_back_as_they_were(open_easel: str) -> None:
    prompt = 'a girl "b64_json":"", \\"b64_json\\":\\"\\"'
    both = post(open_easel, prompt=prompt, n=2, size="64x64").json()["data"]
    assert [one["revised_prompt"] for one in both] == [prompt] * 2
    assert [opened(one).size for one in both] == [(64, 64)] * 2


def test_a_url_leads_to_the_same_bytes(gateway: str) -> None:
    url, inline = (
        post(gateway, prompt="a girl", seed=1, response_format=form).json()["data"][0]
        for form in ("url", "b64_json")
    )
    got = httpx.get(url["url"])
    assert got.headers["content-type"] == "image/png"
    assert got.content == base64.b64decode(inline["b64_json"])
    assert httpx.get(url["url"].replace(".png", "0.png")).status_code == 404


def test_any_size_on_the_stride_is_drawn(gateway: str) -> None:
    answer = post(gateway, prompt="a girl", size="96x160").json()
    assert answer["size"] == "96x160"
    assert opened(answer["data"][0]).size == (96, 160)


def test_a_prompt_longer_than_the_encoder_is_drawn_whole(gateway: str) -> None:
    long = "a girl walking in rain " * 100
    assert post(gateway, prompt=long).status_code == 200
    assert post(gateway, prompt="une fille 雨 \U0001f327 \x00").status_code == 200


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({}, "prompt", "field required"),
    ({"prompt": ""}, "prompt", "is empty"),
    ({"prompt": " \n"}, "prompt", "is empty"),
    ({"prompt": "x" * 10_000}, "prompt", "at most 4000 characters"),
    ({"prompt": 5}, "prompt", "valid string"),
    ({"prompt": "a", "negative_prompt": "x" * 10_000}, "negative_prompt", "at most 4000"),
    ({"prompt": "a", "size": "100x100"}, "size", "multiple of"),
    ({"prompt": "a", "size": "huge"}, "size", "must be auto or WIDTHxHEIGHT"),
    ({"prompt": "a", "size": "128x"}, "size", "must be auto"),
    ({"prompt": "a", "size": "-128x128"}, "size", "must be auto"),
    ({"prompt": "a", "size": "1024x1024"}, "size", "from 64 to 256"),
    ({"prompt": "a", "size": "9" * 5000 + "x128"}, "size", "from 64 to 256"),
    ({"prompt": "a", "num_inference_steps": -1}, "num_inference_steps", "greater than or equal"),
    ({"prompt": "a", "num_inference_steps": 0}, "num_inference_steps", "greater than or equal"),
    ({"prompt": "a", "num_inference_steps": 999}, "num_inference_steps", "less than or equal"),
    ({"prompt": "a", "guidance_scale": -3}, "guidance_scale", "greater than or equal"),
    ({"prompt": "a", "n": 0}, "n", "greater than or equal"),
    ({"prompt": "a", "n": 11}, "n", "less than or equal"),
    ({"prompt": "a", "seed": -1}, "seed", "greater than or equal"),
    ({"prompt": "a", "seed": 2**63}, "seed", "less than"),
    ({"prompt": "a", "guidance_eta": 2}, "guidance_eta", "less than or equal"),
    ({"prompt": "a", "solver": "magic"}, "solver", "'ddim', 'euler'"),
    ({"prompt": "a", "output_format": "gif"}, "output_format", "'png', 'webp' or 'jpeg'"),
    ({"prompt": "a", "output_compression": 101}, "output_compression", "less than or equal"),
    ({"prompt": "a", "background": "transparent"}, "background", "'auto' or 'opaque'"),
    ({"prompt": "a", "partial_images": 2}, "partial_images", "stream"),
    ({"prompt": "a", "partial_images": 4, "stream": True}, "partial_images", "less than"),
    ({"prompt": "a", "stream": True, "response_format": "url"}, "response_format", "b64_json"),
    ({"prompt": "a", "model": "dall-e-3"}, "model", "is not served here"),
    ({"prompt": "a", "stepz": 3}, "stepz", "is not a known field"),
]


@pytest.mark.parametrize(("body", "field", "words"), REFUSED)
def test_what_cannot_be_is_refused_by_name(
    gateway: str, body: dict[str, Any], field: str, words: str
) -> None:
    answer = httpx.post(f"{gateway}/v1/images/generations", json=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"] == field
    assert error["type"] == "invalid_request_error"
    assert error["code"] == "invalid_request"
    assert error["message"].startswith(f"{field}: ")
    assert words in error["message"]


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        (b'{"prompt": "a", "guidance_scale": NaN}', "guidance_scale", "finite"),
        (b'{"prompt": "a", "guidance_scale": Infinity}', "guidance_scale", "finite"),
        (b'{"prompt": "\\ud800"}', "body", "hex escape"),
        (b'{"prompt": ', "body", "is not valid JSON"),
        (b"[]", "body", ""),
        (b"", "body", ""),
        (b"\xff\xfe", "body", ""),
        (b'{"prompt": "a", "seed": ' + b"9" * 5000 + b"}", "body", ""),
        (b"[" * 100_000, "body", ""),
    ],
)
def test_a_body_that_is_not_sound_json_is_refused(
    gateway: str, body: bytes, field: str, words: str
) -> None:
    headers = {"content-type": "application/json"}
    answer = httpx.post(f"{gateway}/v1/images/generations", content=body, headers=headers)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"] == field
    assert words in error["message"]


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_that_is_not_said_to_be_json_is_not_read_as_json(
    gateway: str, kind: str | None
) -> None:
    url, headers = f"{gateway}/v1/images/generations", {"content-type": kind} if kind else {}
    answer = httpx.post(url, content=b'{"prompt": "a girl"}', headers=headers)
    assert answer.status_code == 400
    assert "content-type: application/json" in answer.json()["error"]["message"]


def test_a_giant_body_is_refused_announced_or_not(gateway: str) -> None:
    giant = b'{"prompt": "' + b"x" * 400_000 + b'"}'
    url, headers = f"{gateway}/v1/images/generations", {"content-type": "application/json"}
    announced = httpx.post(url, content=giant, headers=headers)
    pieces = (giant[i : i + 10_000] for i in range(0, len(giant), 10_000))
    streamed = httpx.post(url, content=pieces, headers=headers)
    for answer in (announced, streamed):
        assert answer.status_code == 413
        assert "is over 262144 bytes" in answer.json()["error"]["message"]


def test_unknown_paths_and_methods_answer_in_the_same_shape(gateway: str) -> None:
    missing, wrong = (
        httpx.get(f"{gateway}/v1/nothing"),
        httpx.get(f"{gateway}/v1/images/generations"),
    )
    assert (missing.status_code, wrong.status_code) == (404, 405)
    assert missing.json()["error"]["message"]
    assert wrong.json()["error"]["type"] == "invalid_request_error"
