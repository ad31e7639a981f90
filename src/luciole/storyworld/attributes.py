"""What a picture of the storyworld can show, as plain data with one vocabulary."""

import random
import zlib
from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "held_out"]

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "person": ("girl", "boy"),
    "hair_color": ("black", "brown", "blonde", "red", "blue", "pink", "white", "green"),
    "hair_style": ("short", "long", "ponytail", "bun", "twintails", "curly"),
    "skin": ("light", "tan", "brown", "dark"),
    "outfit": ("t-shirt", "dress", "coat", "hoodie", "overalls"),
    "outfit_color": ("red", "orange", "yellow", "green", "blue", "purple", "white", "black"),
    "accessory": ("none", "glasses", "hat", "scarf", "headphones"),
    "action": (
        "standing",
        "walking",
        "running",
        "sitting",
        "waving",
        "jumping",
        "reading",
        "dancing",
    ),
    "setting": (
        "street",
        "park",
        "beach",
        "forest",
        "mountains",
        "desert",
        "rooftop",
        "bedroom",
        "cafe",
        "library",
    ),
    "weather": ("clear", "cloudy", "rain", "snow", "fog"),
    "time": ("morning", "day", "sunset", "night"),
    "shot": ("extreme close-up", "close-up", "medium shot", "full shot", "wide shot"),
    "angle": ("eye level", "low angle", "high angle", "overhead", "dutch angle"),
}
"""Every kind of attribute and its values; the classifier's heads and the captions follow it."""

INDOORS = frozenset({"bedroom", "cafe", "library"})
_SHOT_WEIGHTS = (3, 12, 30, 45, 10)
_ANGLE_WEIGHTS = (64, 10, 12, 4, 10)


@dataclass(frozen=True)
class Identity:
    """What stays the same when a character goes from picture to picture."""

    person: str
    hair_color: str
    hair_style: str
    skin: str
    outfit: str
    outfit_color: str
    accessory: str

    @property
    def held_out(self) -> bool:
        """One identity in ten, and one pair of hair and outfit colour in eight, is kept back."""
        pair = _index("hair_color", self.hair_color) * 3 + _index("outfit_color", self.outfit_color)
        return pair % 8 == 5 or _checksum(self) % 10 == 0


@dataclass(frozen=True)
class Actor:
    """A character in a scene; `facing` is -1 (left), 0 or 1 (right); `jitter` varies the pose."""

    identity: Identity
    action: str
    facing: int
    jitter: int


@dataclass(frozen=True)
class Scene:
    """Everything one picture is drawn from; `seed` places the details that have no name."""

    actors: tuple[Actor, ...]
    setting: str
    weather: str
    time: str
    shot: str
    angle: str
    seed: int

    @property
    def indoors(self) -> bool:
        """Whether the weather is seen through a window."""
        return self.setting in INDOORS

    @property
    def place_held_out(self) -> bool:
        """About one combination of setting, weather and time in eleven is never trained on."""
        return (
            _index("setting", self.setting)
            + 2 * _index("weather", self.weather)
            + 3 * _index("time", self.time)
        ) % 11 == 4

    @property
    def held_out(self) -> bool:
        """Whether anything in it belongs to the held-out split."""
        return self.place_held_out or any(actor.identity.held_out for actor in self.actors)

    def labels(self) -> dict[str, str]:
        """The value of each kind in `ATTRIBUTES`; a person's are the first actor's."""
        first = self.actors[0]
        whole = {kind: getattr(self, kind) for kind in ("setting", "weather", "time")}
        return {
            **{kind: getattr(first.identity, kind) for kind in Identity.__dataclass_fields__},
            "action": first.action,
            **whole,
            "shot": self.shot,
            "angle": self.angle,
        }

    def readable(self) -> frozenset[str]:
        """The kinds that a viewer can tell from this framing, with one person in the picture."""
        kinds = set(ATTRIBUTES)
        if self.shot == "extreme close-up":
            kinds = {"person", "hair_color", "hair_style", "skin", "shot"}
        elif self.shot in ("close-up", "medium shot"):
            kinds -= {"action"} | ({"outfit"} if self.shot == "close-up" else set())
        if self.angle == "overhead":
            kinds -= {"weather", "time"}
        if len(self.actors) > 1:
            kinds -= {*Identity.__dataclass_fields__, "action"}
        return frozenset(kinds)


def sample_scene(seed: int, split: Split = "train") -> Scene:
    """The scene of one seed. Held-out scenes have a held-out identity in a held-out place."""
    rng = random.Random(f"scene-{split}-{seed}")
    while True:
        scene = _any_scene(rng, seed)
        new_people = all(actor.identity.held_out for actor in scene.actors)
        if split == "held_out" and new_people and scene.place_held_out:
            return scene
        if split == "train" and not scene.held_out:
            return scene


def sample_identity(rng: random.Random) -> Identity:
    """A character drawn evenly from the vocabulary; a boy wears no dress."""
    values = {kind: rng.choice(ATTRIBUTES[kind]) for kind in Identity.__dataclass_fields__}
    if values["person"] == "boy":
        if values["outfit"] == "dress":
            values["outfit"] = "t-shirt"
        if values["hair_style"] in ("bun", "twintails", "ponytail"):
            values["hair_style"] = rng.choice(("short", "curly", "long"))
    return Identity(**values)


def _any_scene(rng: random.Random, seed: int) -> Scene:
    count = 2 if rng.random() < 0.1 else 1
    actors = tuple(
        Actor(
            identity=sample_identity(rng),
            action=rng.choice(ATTRIBUTES["action"]),
            facing=rng.choice((-1, 0, 1)),
            jitter=rng.randrange(2**31),
        )
        for _ in range(count)
    )
    shot = rng.choices(ATTRIBUTES["shot"], _SHOT_WEIGHTS)[0]
    return Scene(
        actors=actors,
        setting=rng.choice(ATTRIBUTES["setting"]),
        weather=rng.choice(ATTRIBUTES["weather"]),
        time=rng.choice(ATTRIBUTES["time"]),
        shot="full shot" if count == 2 and "close" in shot else shot,
        angle=rng.choices(ATTRIBUTES["angle"], _ANGLE_WEIGHTS)[0],
        seed=seed,
    )


def _index(kind: str, value: str) -> int:
    return ATTRIBUTES[kind].index(value)


def _checksum(identity: Identity) -> int:
    words = (getattr(identity, kind) for kind in Identity.__dataclass_fields__)
    return zlib.crc32("|".join(words).encode())
