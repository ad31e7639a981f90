"""The data set of one character: the same person in many places, poses and framings."""

import hashlib
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from typing import Self

from luciole.data.pictures import Pictures, Shard, Split, on_disk, place_of
from luciole.storyworld import ATTRIBUTES, Identity, Scene, sample_scene

WEATHER = {"clear": "clear sky", "cloudy": "cloudy sky"}
"""In words where the value alone says too little."""


@dataclass(frozen=True)
class CharacterShard(Shard):
    """The world's places and poses, with nobody in them but this one."""

    identity: Identity
    described: str

    def scene(self, seed: int) -> Scene:
        """The scene of a seed, its first actor played by the character."""
        scene = sample_scene(seed, self.split)
        return replace(scene, actors=(replace(scene.actors[0], identity=self.identity),))

    def wordings(self, scene: Scene, seed: int) -> list[str]:
        """The character's words and then what is to be seen, in two orders."""
        action, angle = scene.actors[0].action, scene.angle
        where = [scene.setting, scene.time, WEATHER.get(scene.weather, scene.weather)]
        seen = [scene.shot, *([angle] if angle != "eye level" else [])]
        return [
            ", ".join([f"{self.described} {action}", *where, *seen]),
            ", ".join([*seen, self.described, action, *reversed(where)]),
        ]


class CharacterPictures(Pictures):
    """Captioned pictures of one character."""

    @classmethod
    def of(
        cls,
        identity: Mapping[str, str],
        words: str,
        count: int,
        folder: str,
        split: Split,
        size: int,
        workers: int,
        shard: int,
    ) -> Self:
        """`words` describe the character in every caption. Draw what is not yet under `folder`;
        ValueError names the look that is wrong."""
        who = _identity(identity)
        plain, looks = place_of(folder, split, size, shard), "-".join(astuple(who))
        said = hashlib.sha256(words.encode()).hexdigest()[:8]
        place = plain.with_name(f"{plain.name}-{looks}-{said}")
        numbers = range(-(-count // shard))
        shards = [CharacterShard(place, i, shard, split, size, who, words) for i in numbers]
        return cls(on_disk(shards, workers), count)


def _identity(looks: Mapping[str, str]) -> Identity:
    """ValueError where a look is missing, unknown or not of the vocabulary."""
    wanted = Identity.__dataclass_fields__
    if set(looks) != set(wanted):
        wrong = ", ".join(sorted(set(looks) ^ set(wanted)))
        raise ValueError(f"identity: give each of {', '.join(wanted)} once; wrong are {wrong}")
    for look, value in looks.items():
        if value not in ATTRIBUTES[look]:
            raise ValueError(f"identity.{look}: {value!r} is none of {', '.join(ATTRIBUTES[look])}")
    return Identity(**looks)
