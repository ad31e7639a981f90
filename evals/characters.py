"""Held-out characters: a reference picture of each, other pictures to know it by, and new poses."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count as count_from

from luciole.data.pairs import LOOKS, sample_pair, without_looks
from luciole.storyworld import Scene, sample_scene
from luciole.storyworld.captions import complete_tags

GALLERY = ("close-up", "medium shot")
"""How the pictures are framed by which a character is known again."""
POSES = ("medium shot", "full shot", "close-up")
"""How it is asked for, one after the other."""
SEEN = tuple(look for look in LOOKS if look != "person")
"""By what a character can be known: the world draws a girl and a boy alike."""
_FIRST = 20_000_000
"""Scenes of nobody else's measuring."""


@dataclass(frozen=True)
class Character:
    """`reference` is shown to a model; `gallery` and `asked` are other pictures of the same one."""

    reference: Scene
    gallery: tuple[Scene, ...]
    asked: tuple[Scene, ...]

    @property
    def prompts(self) -> list[str]:
        """What is asked, without hair, skin and accessory: those are the reference's to tell."""
        chance = random.Random(f"asked-{self.reference.seed}")
        return [without_looks(complete_tags(scene, chance)) for scene in self.asked]


@lru_cache(maxsize=4)
def held_out_characters(count: int, poses: int) -> tuple[Character, ...]:
    """So many different ones, all of them from pairs that no adapter was trained on."""
    found: dict[tuple[str, ...], Character] = {}
    scenes = _alone()
    for seed in count_from(4096):
        if len(found) == count:
            return tuple(found.values())
        reference, _ = sample_pair(seed, "held_out")
        who = tuple(getattr(reference.actors[0].identity, look) for look in SEEN)
        if who not in found:
            shots = [*GALLERY, *(POSES[i % len(POSES)] for i in range(poses))]
            same = [_as(scenes, reference, shot) for shot in shots]
            found[who] = Character(reference, tuple(same[:2]), tuple(same[2:]))
    raise AssertionError("seeds do not end")


def _alone() -> Iterator[Scene]:
    scenes = (sample_scene(seed, "held_out") for seed in count_from(_FIRST))
    return (scene for scene in scenes if len(scene.actors) == 1)


def _as(scenes: Iterator[Scene], reference: Scene, shot: str) -> Scene:
    """The next scene, with this character in it."""
    identity = reference.actors[0].identity
    for scene in scenes:
        actor = scene.actors[0]
        dressed = replace(actor.identity, **{look: getattr(identity, look) for look in LOOKS})
        if not (identity.person == "boy" and dressed.outfit == "dress"):
            alone = (replace(actor, identity=dressed),)
            return replace(scene, actors=alone, shot=shot, angle="eye level")
    raise AssertionError("scenes do not end")
