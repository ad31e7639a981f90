"""Our PNG files, read by Pillow."""

import io

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from serving.gateway.png import png

pictures = st.tuples(st.integers(1, 20), st.integers(1, 20)).flatmap(
    lambda sides: arrays(np.uint8, (*sides, 3))
)


@given(pictures, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
@settings(deadline=None)
def test_every_pixel_and_word_is_read_back(pixels: np.ndarray, words: str) -> None:
    file = png(pixels, {"parameters": words})
    with Image.open(io.BytesIO(file)) as checked:
        checked.verify()
    with Image.open(io.BytesIO(file)) as picture:
        np.testing.assert_array_equal(np.asarray(picture), pixels)
        assert picture.text["parameters"] == words  # type: ignore[attr-defined]


def test_it_is_about_as_small_as_pillows() -> None:
    ramp = np.linspace(0, 255, 512 * 512 * 3).reshape(512, 512, 3)
    noise = np.random.default_rng(0).normal(0, 3, ramp.shape)
    pixels = (ramp + noise).clip(0, 255).astype(np.uint8)
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "PNG")
    assert len(png(pixels, {})) < 1.25 * len(target.getvalue())
