"""Pictures on their way into graphs."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from luciole.domain import InvalidRequest
from luciole.models.vision import MEAN, STD
from luciole.pictures import (
    PictureFolder,
    PicturesInMemory,
    cells,
    clip_pixels,
    coverage,
    decoded,
    feathered,
    fitted,
    signed,
    unsigned,
    white,
)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("size", [(64, 64), (100, 80), (37, 91), (20, 32)])
def test_clip_sees_what_transformers_would_show_it(size: tuple[int, int]) -> None:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32)
    expected = processor(Image.fromarray(noise(*size)), return_tensors="np")["pixel_values"][0]
    np.testing.assert_allclose(clip_pixels(noise(*size), 32, MEAN, STD), expected, atol=1e-5)


def test_a_feather_falls_linearly_and_ends_at_its_width() -> None:
    mask = np.zeros((9, 9), np.float32)
    mask[4, 4] = 1
    soft = feathered(mask, 3)
    np.testing.assert_allclose(soft[4], [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0])
    assert (feathered(mask, 0) == mask).all()


def test_a_latent_is_redrawn_if_any_of_its_pixels_is() -> None:
    mask = np.zeros((8, 16), np.float32)
    mask[3, 9] = 0.1
    assert cells(mask, 8).tolist() == [[0, 1]]
    mask[:, :4] = 1
    assert coverage(mask, 8)[0, 0] == 0.5


def test_levels_become_numbers_and_sizes_fit() -> None:
    ends = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    assert signed(ends)[:, 0].T.tolist() == [[-1] * 3, [1] * 3]
    assert unsigned(ends)[:, 0].T.tolist() == [[0] * 3, [1] * 3]
    assert white(ends).tolist() == [[0, 1]]
    picture = noise(64, 64)
    assert fitted(picture, 64, 64) is picture
    assert fitted(noise(40, 90), 64, 96).shape == (96, 64, 3)


def test_files_are_found_by_their_hash_and_turned_upright(tmp_path: Path) -> None:
    folder = PictureFolder(tmp_path)
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.fromarray(noise(4, 8)).save(file, "PNG", exif=exif)
    name = folder.add(file.getvalue())
    assert folder.open(name).shape == (8, 4, 3)
    glass = io.BytesIO()
    Image.new("RGBA", (2, 2), (0, 0, 0, 0)).save(glass, "PNG")
    assert (decoded(glass.getvalue()) == 255).all()
    words = folder.add(b"not a picture")
    for missing, said in ((words, "is no picture"), ("0" * 64, "is not here")):
        with pytest.raises(InvalidRequest, match=said):
            folder.open(missing)
    with pytest.raises(InvalidRequest, match="is not here"):
        PicturesInMemory().open(name)
