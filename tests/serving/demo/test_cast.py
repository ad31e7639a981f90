"""The pictures of who is in the stories."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serving.demo.cast import IDENTITIES, pictures

BESIDE = Path(__file__).parents[3] / "docs" / "storyboards"


@pytest.mark.parametrize("name", IDENTITIES)
def test_the_pictures_beside_the_storyboards_are_what_the_world_draws(name: str) -> None:
    for number, content in enumerate(pictures(name, side=128), start=1):
        with (
            Image.open(BESIDE / f"{name}-{number}.png") as kept,
            Image.open(io.BytesIO(content)) as drawn,
        ):
            assert np.array_equal(np.asarray(kept), np.asarray(drawn))
