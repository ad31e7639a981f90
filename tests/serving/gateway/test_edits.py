"""OpenAI's edits and streams, through its own client."""

import base64
import io
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from openai import OpenAI
from PIL import Image

FAST: dict[str, Any] = {"num_inference_steps": 4, "seed": 200}


@pytest.fixture(scope="module")
def client(open_easel: str) -> Any:
    with OpenAI(base_url=f"{open_easel}/v1", api_key="none", max_retries=0) as made:
        yield made


def picture(mode: str = "RGB", size: tuple[int, int] = (100, 70), colour: Any = (9, 9, 9)) -> bytes:
    target = io.BytesIO()
    Image.new(mode, size, colour).save(target, "PNG")
    return target.getvalue()


def mask(size: tuple[int, int] = (100, 70)) -> bytes:
    """Transparent in its left half."""
    pixels = np.zeros((size[1], size[0], 4), np.uint8)
    pixels[:, size[0] // 2 :, 3] = 255
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "PNG")
    return target.getvalue()


def opened(b64: str | None) -> Image.Image:
    assert b64 is not None
    return Image.open(io.BytesIO(base64.b64decode(b64)))


def test_an_edit_keeps_about_the_pictures_size_and_its_parts_can_be_had_again(
    client: OpenAI, open_easel: str
) -> None:
    answer = client.images.edit(
        image=("in.png", picture()), mask=("mask.png", mask()), prompt="a hat", extra_body=FAST
    )
    assert answer.data is not None
    assert opened(answer.data[0].b64_json).size == (96, 64)
    kept = httpx.get(f"{open_easel}/api/v1/assets").json()["items"]
    white = next(one for one in kept if one["width"] == 100 and one["size"] != len(picture()))
    with Image.open(io.BytesIO(httpx.get(white["url"]).content)) as redrawn:
        left, right = redrawn.getpixel((10, 30)), redrawn.getpixel((90, 30))
    assert (left, right) == (255, 0)


def test_an_edit_without_mask_draws_the_whole_again(client: OpenAI) -> None:
    answer = client.images.edit(
        image=picture(), prompt="a hat", size="128x128", n=2, extra_body=FAST | {"strength": 0.4}
    )
    assert answer.data is not None
    assert [opened(datum.b64_json).size for datum in answer.data] == [(128, 128)] * 2


@pytest.mark.parametrize(
    ("more", "field", "status"),
    [
        ({"mask": mask((50, 70))}, "mask", 400),
        ({"mask": picture()}, "mask", 400),
        ({"mask": b"nonsense"}, "mask", 422),
        ({"image": b"nonsense"}, "image", 422),
        ({"image": [picture(), picture()]}, "image", 400),
        ({"size": "12x12"}, "size", 400),
        ({"extra_body": {"strength": 2}}, "strength", 400),
        ({"extra_body": {"stepz": 2}}, "stepz", 400),
    ],
)
def test_an_edit_that_cannot_be_is_refused_by_name(
    client: OpenAI, more: dict[str, Any], field: str, status: int
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.images.edit(**({"image": picture(), "prompt": "a hat"} | more))
    assert (caught.value.status_code, caught.value.body["param"]) == (status, field)  # type: ignore[index]


def test_an_edit_without_a_picture_or_form_is_refused(open_easel: str) -> None:
    for body in ({"json": {"prompt": "a"}}, {"data": {"prompt": "a"}}, {"content": b"\xff"}):
        answer = httpx.post(f"{open_easel}/v1/images/edits", **body)  # type: ignore[arg-type]
        assert answer.status_code == 400
        assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_stream_shows_the_picture_on_its_way_and_then_whole(client: OpenAI) -> None:
    stream = client.images.generate(
        prompt="a girl", stream=True, partial_images=2, size="64x64", extra_body=FAST
    )
    events: list[Any] = list(stream)
    assert [event.type for event in events] == [
        "image_generation.partial_image",
        "image_generation.partial_image",
        "image_generation.completed",
    ]
    assert [event.partial_image_index for event in events[:2]] == [0, 1]
    half, whole = opened(events[0].b64_json), opened(events[2].b64_json)
    assert half.getpixel((0, 0)) == (100, 49, 0)
    assert whole.getpixel((0, 0)) == (200, 99, 0)


def test_a_stream_of_an_edit_and_one_without_partial_images(client: OpenAI) -> None:
    edits: list[Any] = list(
        client.images.edit(image=picture(), prompt="a", stream=True, extra_body=FAST)
    )
    assert [event.type for event in edits] == ["image_edit.completed"]


def test_a_refusal_before_a_stream_is_an_ordinary_one(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        client.images.generate(prompt="a", stream=True, size="12x12")
