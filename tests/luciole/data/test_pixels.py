"""Picture files of every kind."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from luciole.data.pixels import Unreadable, rgb


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def first_pixel(data: bytes) -> tuple[int, ...]:
    image = rgb(data)
    assert image.mode == "RGB"
    pixel = image.getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return pixel


@pytest.mark.parametrize(
    ("mode", "color", "seen"),
    [
        ("RGB", (10, 20, 30), (10, 20, 30)),
        ("L", 77, (77, 77, 77)),
        ("1", 1, (255, 255, 255)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
        ("RGBA", (0, 100, 200, 51), (204, 224, 244)),  # a fifth of it over white
        ("LA", (0, 0), (255, 255, 255)),
    ],
)
def test_see_through_pixels_lie_over_white(mode: str, color: Any, seen: tuple[int, ...]) -> None:
    assert first_pixel(saved(Image.new(mode, (2, 2), color))) == seen


@pytest.mark.parametrize(("deep", "seen"), [(0, 0), (65535, 255), (0x8080, 128), (257, 1)])
def test_sixteen_bits_of_grey_are_scaled_not_clipped(deep: int, seen: int) -> None:
    for kind in ("PNG", "TIFF"):
        data = saved(Image.fromarray(np.full((2, 2), deep, np.uint16)), kind)
        assert first_pixel(data) == (seen,) * 3


def test_a_palette_gives_its_colours_and_its_hole_is_white() -> None:
    image = Image.new("P", (2, 2), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    assert first_pixel(saved(image)) == (200, 100, 50)
    assert first_pixel(saved(image, transparency=1)) == (255, 255, 255)


def test_cmyk_without_a_profile_is_ink_that_takes_light_away() -> None:
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    red = first_pixel(saved(image, "TIFF"))
    assert red == (255, 0, 0)
    assert first_pixel(saved(Image.new("CMYK", (8, 8)), "JPEG")) == (255, 255, 255)


def test_a_damaged_profile_of_cmyk_is_refused() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = saved(Image.new("CMYK", (8, 8)), "TIFF", icc_profile=profile)
    with pytest.raises(Unreadable, match="colour profile is damaged"):
        rgb(data)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_camera_was_held(orientation: int) -> None:
    upright = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3) * 40)
    ways = [None, 0, 3, 1, 5, 4, 6, 2]  # what undoes Pillow's turning for EXIF's 1 to 8
    way = ways[orientation - 1]
    back: dict[Any, Any] = {2: 4, 4: 2}
    stored = upright if way is None else upright.transpose(back.get(way, way))
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(np.asarray(rgb(saved(stored, exif=exif)))[..., 0], np.asarray(upright))


def test_floats_and_32_bits_are_refused() -> None:
    for mode in ("F", "I"):
        with pytest.raises(Unreadable, match=f"mode {mode}; save it as 8-bit RGB"):
            rgb(saved(Image.new(mode, (2, 2)), "TIFF"))


def test_a_moving_picture_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert first_pixel(data) == (255, 0, 0)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_cut_off_file_is_refused(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = saved(Image.fromarray(noise), kind)
    with pytest.raises(Unreadable, match=r"damaged|known format"):
        rgb(data[: len(data) // 2])


def test_an_empty_and_a_foreign_file_are_refused() -> None:
    with pytest.raises(Unreadable, match="empty"):
        rgb(b"")
    with pytest.raises(Unreadable, match="not a picture"):
        rgb(b"<html>404</html>")
