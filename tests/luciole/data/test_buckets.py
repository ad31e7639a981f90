"""Aspect buckets, and how pictures get their shapes."""

import numpy as np
import pytest
from PIL import Image

from luciole.data.buckets import Buckets
from luciole.data.framing import Frame, centred, widest

SDXL = {  # arXiv:2307.01952, appendix I, height and width
    (512, 2048), (512, 1984), (512, 1920), (512, 1856), (576, 1792), (576, 1728), (576, 1664),
    (640, 1600), (640, 1536), (704, 1472), (704, 1408), (704, 1344), (768, 1344), (768, 1280),
    (832, 1216), (832, 1152), (896, 1152), (896, 1088), (960, 1088), (960, 1024), (1024, 1024),
}  # fmt: skip


def test_the_shapes_are_sdxls() -> None:
    shapes = set(Buckets(1024, 64, 512, 2048).shapes)
    wide = {(min(shape), max(shape)) for shape in shapes}
    assert wide <= SDXL
    assert shapes == {(b, a) for a, b in shapes}
    assert (1024, 1024) in shapes
    assert len(wide) > 15


def test_no_area_is_above_the_target_or_far_below() -> None:
    for height, width in Buckets(128, 8, 64, 256).shapes:
        assert height % 8 == width % 8 == 0
        assert 64 <= min(height, width) <= max(height, width) <= 256
        assert 0.85 * 128**2 < height * width <= 128**2


def test_a_picture_goes_where_its_aspect_is_nearest() -> None:
    buckets = Buckets(128, 32, 64, 256)
    sizes = np.random.default_rng(0).integers(10, 4000, (500, 2)).astype(np.int32)
    for size, index in zip(sizes, buckets.choose(sizes), strict=True):
        own = np.log(size[0] / size[1])
        distances = [abs(np.log(h / w) - own) for h, w in buckets.shapes]
        assert distances[index] == pytest.approx(min(distances))


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"side": 100}, "side: 100 is not a multiple of the stride, 32"),
        ({"shortest": 0}, "shortest: 0 is not a multiple"),
        ({"longest": 64}, "side: 128 is not between shortest, 64, and 64"),
    ],
)
def test_limits_that_do_not_fit_are_named(changed: dict[str, int], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Buckets(**{"side": 128, "stride": 32, "shortest": 64, "longest": 256, **changed})


def test_the_middle_of_a_wide_picture() -> None:
    frame = centred((100, 300), (64, 64))
    assert frame == Frame((100, 300), (64, 192), (0, 64), (64, 64))
    assert frame.time_ids == (100, 300, 0, 64, 64, 64)


def test_all_whole_cells_are_kept_for_chance() -> None:
    frame = widest((100, 297), (64, 64), cell=8)
    assert frame.resized == (64, 190)
    assert frame.shape == (64, 184)
    assert frame.corner == (0, 3)
    moved = frame.moved(0, 120, (64, 64))
    assert moved.time_ids == (100, 297, 0, 123, 64, 64)


@pytest.mark.parametrize("size", [(1, 1), (63, 65), (500, 20), (20, 500), (999, 1001)])
def test_a_window_lies_inside_the_resized_picture(size: tuple[int, int]) -> None:
    for shape in ((64, 128), (128, 64), (96, 96)):
        for frame in (centred(size, shape), widest(size, shape, 8)):
            for corner, kept, resized, wanted in zip(
                frame.corner, frame.shape, frame.resized, shape, strict=True
            ):
                assert corner >= 0
                assert wanted <= kept <= corner + kept <= resized


def test_a_cut_takes_the_pixels_that_it_says() -> None:
    ramp = np.tile(np.arange(200, dtype=np.uint8), (50, 1))
    picture = Image.fromarray(ramp).convert("RGB")
    cut = Frame((50, 200), (50, 200), (10, 60), (16, 24)).cut(picture)
    assert cut.shape == (16, 24, 3)
    assert cut[0, :, 0].tolist() == list(range(60, 84))
    half = centred((50, 200), (25, 25)).cut(picture)
    assert half[0, 12, 0] == pytest.approx(99.5, abs=2)
