"""Articulated poses: an action and a little chance give the joints of a body."""

import math
import random
from dataclasses import dataclass

Point = tuple[float, float]

KEYPOINTS = (
    "nose",
    "neck",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_hip",
    "right_knee",
    "right_ankle",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_eye",
    "left_eye",
    "right_ear",
    "left_ear",
)
"""OpenPose's 18 keypoints in its order; right and left are the person's own."""


@dataclass(frozen=True)
class Angles:
    """Degrees from hanging straight down; positive swings towards the picture's right."""

    lean: float = 0
    head: float = 0
    right_arm: tuple[float, float] = (-14, -8)
    left_arm: tuple[float, float] = (14, 8)
    right_leg: tuple[float, float] = (-5, -2)
    left_leg: tuple[float, float] = (5, 2)
    lift: float = 0
    """How far the hips are above (or below) standing height, in body heights."""


ACTION_ANGLES: dict[str, Angles] = {
    "standing": Angles(),
    "walking": Angles(
        lean=3, right_arm=(-32, -14), left_arm=(30, 52), right_leg=(30, 18), left_leg=(-26, -44)
    ),
    "running": Angles(
        lean=13,
        head=4,
        right_arm=(-58, 10),
        left_arm=(52, 130),
        right_leg=(66, 2),
        left_leg=(-34, -96),
        lift=0.03,
    ),
    "sitting": Angles(
        right_arm=(-16, 20), left_arm=(16, -20), right_leg=(68, -4), left_leg=(82, 4), lift=-0.13
    ),
    "waving": Angles(head=5, right_arm=(-14, -6), left_arm=(128, 172)),
    "jumping": Angles(
        right_arm=(-132, -152),
        left_arm=(132, 152),
        right_leg=(-44, 22),
        left_leg=(44, -22),
        lift=0.1,
    ),
    "reading": Angles(head=-3, right_arm=(-26, 62), left_arm=(26, -62)),
    "dancing": Angles(
        lean=-8,
        head=-8,
        right_arm=(-96, -120),
        left_arm=(150, 196),
        right_leg=(-4, -2),
        left_leg=(56, 34),
    ),
}

UPPER_ARM, FOREARM, THIGH, SHIN = 0.135, 0.125, 0.19, 0.19
SHOULDER, HIP = (0.085, 0.305), (0.052, 0.59)
HEAD_Y, NECK_Y, HEAD_RADIUS = 0.145, 0.285, 0.125


@dataclass(frozen=True)
class Build:
    """How the camera's height squeezes a body: seen from above heads grow and legs shrink."""

    head: float = 1.0
    legs: float = 1.0


@dataclass(frozen=True)
class Body:
    """Joints in body units: height 1, origin between the standing feet, y down (so negative)."""

    joints: dict[str, Point]
    head: Point
    head_radius: float
    tilt: float
    """Of the head, in radians."""
    hips: Point


def pose_body(action: str, facing: int, jitter: int, build: Build) -> Body:
    """Bends a body into an action; facing left mirrors it. The same jitter gives the same pose."""
    rng = random.Random(jitter)
    angles = ACTION_ANGLES[action]
    mirror = -1 if facing < 0 else 1
    wobble = [rng.uniform(-6, 6) for _ in range(10)]
    hip_y = -(1 - HIP[1]) * build.legs - angles.lift
    lean = math.radians(angles.lean + wobble[0] * 0.4)
    joints: dict[str, Point] = {"neck": _upper(0, NECK_Y, lean, hip_y)}
    for side, sign, arm, leg, k in (
        ("right", -1, angles.right_arm, angles.right_leg, 1),
        ("left", 1, angles.left_arm, angles.left_leg, 5),
    ):
        shoulder = _upper(sign * SHOULDER[0], SHOULDER[1], lean, hip_y)
        hip = (sign * HIP[0], hip_y)
        bends = (arm[0] + wobble[k], arm[1] + wobble[k + 1])
        joints |= _limb(side, ("shoulder", "elbow", "wrist"), shoulder, bends, (UPPER_ARM, FOREARM))
        bends = (leg[0] + wobble[k + 2] * 0.5, leg[1] + wobble[k + 3] * 0.5)
        lengths = (THIGH * build.legs, SHIN * build.legs)
        joints |= _limb(side, ("hip", "knee", "ankle"), hip, bends, lengths)
    tilt = math.radians(angles.head + wobble[9] * 0.5) + lean * 0.5
    neck = joints["neck"]
    reach = (NECK_Y - HEAD_Y) * (0.5 + 0.5 * build.head)
    head = (neck[0] + math.sin(tilt) * reach, neck[1] - math.cos(tilt) * reach)
    _add_face(joints, head, HEAD_RADIUS * build.head, tilt, facing * mirror)
    if mirror < 0:
        joints = {_other_side(name): (-x, y) for name, (x, y) in joints.items()}
    return Body(
        joints=joints,
        head=(mirror * head[0], head[1]),
        head_radius=HEAD_RADIUS * build.head,
        tilt=mirror * tilt,
        hips=(0, hip_y),
    )


def _upper(x: float, y: float, lean: float, hip_y: float) -> Point:
    """A point of the upper body, turned about the hips by the lean."""
    dy = y - HIP[1]
    return (x * math.cos(lean) - dy * math.sin(lean), hip_y + dy * math.cos(lean))


def _limb(
    side: str,
    names: tuple[str, str, str],
    start: Point,
    degrees: tuple[float, float],
    lengths: tuple[float, float],
) -> dict[str, Point]:
    middle = _swing(start, degrees[0], lengths[0])
    end = _swing(middle, degrees[1], lengths[1])
    return {f"{side}_{name}": p for name, p in zip(names, (start, middle, end), strict=True)}


def _swing(start: Point, degrees: float, length: float) -> Point:
    angle = math.radians(degrees)
    return (start[0] + math.sin(angle) * length, start[1] + math.cos(angle) * length)


def _add_face(joints: dict[str, Point], head: Point, radius: float, tilt: float, turn: int) -> None:
    c, s = math.cos(tilt), math.sin(tilt)
    shift = 0.26 * turn
    for name, x, y in (
        ("nose", shift * 1.15, 0.30),
        ("right_eye", shift - 0.38, 0.12),
        ("left_eye", shift + 0.38, 0.12),
        ("right_ear", -0.95, 0.15),
        ("left_ear", 0.95, 0.15),
    ):
        dx, dy = x * radius, y * radius
        joints[name] = (head[0] + dx * c - dy * s, head[1] + dx * s + dy * c)


def _other_side(name: str) -> str:
    if name.startswith("left_"):
        return "right_" + name.removeprefix("left_")
    if name.startswith("right_"):
        return "left_" + name.removeprefix("right_")
    return name
