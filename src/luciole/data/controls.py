"""What guides a drawing: the pose as OpenPose draws it, and the depth map, of every picture."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from rich.progress import track

import luciole.storyworld as storyworld
from luciole.data.captioned import CaptionedPictures
from luciole.data.labelled import disturbed
from luciole.data.latents import CaptionedLatents, Latents
from luciole.data.pictures import Pictures, Shard
from luciole.data.stream import Batch, Chances

Control = Literal["pose", "depth"]
PEOPLE, JOINTS = 2, 18
"""At most in a picture of the world; of each person, in OpenPose's order."""
# fmt: off
LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12),
    (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)
COLORS = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0),
    (0, 255, 0), (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255),
    (0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85),
)
# fmt: on
_FINER = 4


def draw_pose(
    keypoints: Float[np.ndarray, "people 18 3"], width: int, height: int
) -> UInt8[np.ndarray, "height width 3"]:
    """OpenPose's drawing: limbs at three fifths of their colour, joints in full, black around.

    Joints and limbs that end outside the picture (third value 0) are left out.
    """
    sheet = Image.new("RGB", (width * _FINER, height * _FINER))
    pen = ImageDraw.Draw(sheet)
    radius = _FINER * max(1.5, 4 * max(width, height) / 512)
    for person in keypoints:
        seen = person[:, 2] > 0
        points = [(float(x) * _FINER, float(y) * _FINER) for x, y, _ in person]
        for (start, end), color in zip(LIMBS, COLORS, strict=False):
            if seen[start] and seen[end]:
                dim = tuple(round(0.6 * value) for value in color)
                pen.line([points[start], points[end]], dim, round(2 * radius))
        for (x, y), there, color in zip(points, seen, COLORS, strict=True):
            if there:
                pen.ellipse((x - radius, y - radius, x + radius, y + radius), color)
    return np.asarray(sheet.reduce(_FINER))


@dataclass(frozen=True)
class Maps:
    """The ground truth of one shard of pictures, on disk beside it."""

    shard: Shard

    @property
    def keypoints(self) -> Path:
        """`float32 [count, 2, 18, 3]`: x and y in pixels, 1 where inside; zeros for nobody."""
        return self.shard.folder / f"{self.shard.index:05}.keypoints.npy"

    @property
    def depth(self) -> Path:
        """Nearness, `uint8 [count, size, size]`."""
        return self.shard.folder / f"{self.shard.index:05}.depth.npy"

    def draw(self) -> None:
        """Draw the shard's scenes again, for what is known about them."""
        count, size = self.shard.count, self.shard.size
        keypoints = np.zeros((count, PEOPLE, JOINTS, 3), np.float32)
        depth = np.empty((count, size, size), np.uint8)
        for row in range(count):
            seed = self.shard.index * count + row
            picture = storyworld.render(storyworld.sample_scene(seed, self.shard.split), size, size)
            if picture.depth is None:
                raise ValueError("depth: the picture was drawn without it")
            keypoints[row, : len(picture.keypoints)] = picture.keypoints
            depth[row] = np.round(picture.depth * 255)
        for place, values in ((self.depth, depth), (self.keypoints, keypoints)):
            part = place.with_suffix(f".{os.getpid()}.tmp.npy")
            np.save(part, values)
            part.replace(place)


class MappedPictures(Pictures):
    """Pictures with their keypoints and depth; the maps are drawn where they are missing."""

    def __init__(self, shards: Sequence[Shard], count: int) -> None:
        super().__init__(shards, count)
        maps = [Maps(shard) for shard in shards]
        missing = [one for one in maps if not one.keypoints.exists()]
        for one in track(missing, "drawing maps", disable=not missing):
            one.draw()
        self._per = shards[0].count
        self._keypoints = [np.load(one.keypoints, mmap_mode="r") for one in maps]
        self._depth = [np.load(one.depth, mmap_mode="r") for one in maps]

    def keypoints(self, rows: NDArray[np.int64]) -> Float[np.ndarray, "n people 18 3"]:
        """Copies of the chosen rows'."""
        return np.stack([self._keypoints[row // self._per][row % self._per] for row in rows])

    def depth(self, rows: NDArray[np.int64]) -> UInt8[np.ndarray, "n h w"]:
        """Copies of the chosen rows'."""
        return np.stack([self._depth[row // self._per][row % self._per] for row in rows])

    def conditions(self, rows: NDArray[np.int64], control: Control) -> Float[np.ndarray, "n 3 h w"]:
        """What a control net is shown, in 0..1."""
        if control == "depth":
            maps = self.depth(rows)[:, None].repeat(3, axis=1)
        else:
            poses = [draw_pose(people, self.size, self.size) for people in self.keypoints(rows)]
            maps = np.stack(poses).transpose(0, 3, 1, 2)
        scaled: NDArray[np.float32] = maps.astype(np.float32) / np.float32(255)
        return scaled

    def truths(self, rows: NDArray[np.int64]) -> dict[str, torch.Tensor]:
        """`keypoints` float [n, 2, 18, 3] in pixels; `depth` float [n, h, w] in 0..1."""
        depth = self.depth(rows).astype(np.float32) / np.float32(255)
        return {
            "keypoints": torch.from_numpy(self.keypoints(rows)),
            "depth": torch.from_numpy(depth),
        }


class GuidedLatents(CaptionedLatents):
    """Latents with a wording and a condition each, and what is known of the picture."""

    def __init__(self, latents: Latents, drop: float, control: Control, focus: float = 0.0) -> None:
        if not isinstance(latents.pictures, MappedPictures):
            raise ValueError("pictures: a control needs luciole.data.controls.MappedPictures")
        if control not in ("pose", "depth"):
            raise ValueError(f"control: {control!r} is neither pose nor depth")
        super().__init__(latents, drop, focus)
        self.maps: MappedPictures = latents.pictures
        self.control = control

    def gather(self, rows: NDArray[np.int64], chances: Chances, step: int) -> Batch:
        """Also `conditions` float [n, 3, h, w] in 0..1, and the truths."""
        conditions = torch.from_numpy(self.maps.conditions(rows, self.control))
        truths = self.maps.truths(rows)
        return {**super().gather(rows, chances, step), "conditions": conditions, **truths}


class PicturesWithTruths(CaptionedPictures):
    """Real renders and what is known about them; with `disturb` blurred and with noise."""

    def __init__(self, pictures: MappedPictures, disturb: bool) -> None:
        super().__init__(pictures)
        self.maps, self.disturb = pictures, disturb

    def gather(self, rows: NDArray[np.int64], chances: Chances, step: int) -> Batch:
        """`pictures` float [n, 3, h, w] in -1..1, and the truths."""
        batch = dict(super().gather(rows, chances, step))
        if self.disturb:
            batch["pictures"] = disturbed(batch["pictures"], chances, reach=0)
        return {**batch, **self.maps.truths(rows)}
