"""Held-out prompts that name every attribute which is then looked for in the picture."""

import random
from dataclasses import dataclass

from luciole.storyworld import Scene, Split, sample_scene
from luciole.storyworld.captions import complete_sentence, complete_tags

MEASURED = ("hair_color", "outfit_color", "setting", "weather", "time", "action")
"""The words whose presence in the picture is counted; a prompt names each of them."""


@dataclass(frozen=True)
class HeldOutPrompt:
    """Words for a scene that was never trained on, and what they promise."""

    text: str
    scene: Scene

    @property
    def promised(self) -> dict[str, str]:
        """The value of each measured attribute."""
        labels = self.scene.labels()
        return {kind: labels[kind] for kind in MEASURED}


def held_out_prompts(count: int, split: Split = "held_out") -> list[HeldOutPrompt]:
    """Scenes of one new person in a new place, in a framing where every measured word shows.

    With `split` train: of people and places in combinations that were trained on.

    Half are tag lists, half sentences. Seeds start far from those used while training.
    """
    prompts: list[HeldOutPrompt] = []
    seed = 10_000_000
    while len(prompts) < count:
        scene = sample_scene(seed, split)
        seed += 1
        if len(scene.actors) == 1 and scene.readable() >= set(MEASURED):
            rng = random.Random(f"prompt-{scene.seed}")
            words = complete_tags if len(prompts) % 2 == 0 else complete_sentence
            prompts.append(HeldOutPrompt(words(scene, rng), scene))
    return prompts
