"""Identity: is it the same character, dressed as asked, in a picture of its own?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from evals.characters import GALLERY, held_out_characters
from evals.judge import load_classifier, load_judge
from evals.likeness import average_precision, chances, copied, first_found, same_character
from evals.metric import Metric
from evals.sample import Image, Images, Sample
from evals.statistics import Scores
from luciole.storyworld import Scene, render

_REID = "rank 1 and mAP: Market-1501, Zheng et al., ICCV 2015"
_ATTRIBUTES = "attribute accuracy: arXiv:2310.11513"
METRICS = (
    Metric("identity/top1", "higher", _REID, 0.03, share=True),
    Metric("identity/map", "higher", _REID, 0.03),
    Metric("identity/hair", "higher", _ATTRIBUTES, 0.03, share=True),
    Metric("identity/outfit", "higher", _ATTRIBUTES, 0.03, share=True),
    Metric("identity/copied", "lower", "replication: arXiv:2212.03860", 0.02, share=True),
)
HAIR, OUTFIT = ("hair_color", "hair_style"), ("outfit", "outfit_color")


@dataclass(frozen=True)
class Identity:
    """New poses of held-out characters, each known only from its reference.

    `eye` reads looks and `judge` attributes; both were trained on real renders alone. A score is a
    character's mean over its poses.
    """

    characters: int
    poses: int
    judge: str
    eye: str

    ceiling = True
    metrics = METRICS

    @property
    def unit(self) -> int:
        """The poses of a character."""
        return self.poses

    def samples(self, seed: int, size: int) -> list[Sample]:
        """Prompts do not say what the reference shows."""
        found: list[Sample] = []
        for character in held_out_characters(self.characters, self.poses):
            reference = _drawn(character.reference, size)
            for scene, prompt in zip(character.asked, character.prompts, strict=True):
                found.append(
                    Sample(
                        prompt,
                        seed + len(found),
                        real=_drawn(scene, size),
                        reference=reference,
                        promised=_promised(scene),
                    )
                )
        return found

    def scores(self, samples: Sequence[Sample], pictures: Images) -> Mapping[str, Scores]:
        """The gallery is drawn anew: none of its pictures was shown to a model."""
        eye, read = load_classifier(Path(self.eye)), load_judge(Path(self.judge))(pictures)
        gallery = _gallery(self.characters, self.poses, pictures.shape[1])
        known = np.repeat(np.arange(self.characters), len(GALLERY))
        asked = np.repeat(np.arange(self.characters), self.poses)
        alike = same_character(chances(eye, pictures), chances(eye, gallery))
        references = np.stack([s.reference for s in samples if s.reference is not None])
        found = {
            "top1": first_found(alike, asked, known),
            "map": average_precision(alike, asked, known),
            "hair": _kept(samples, read, HAIR),
            "outfit": _kept(samples, read, OUTFIT),
            "copied": copied(pictures, references),
        }
        means = {
            name: scores.reshape(-1, self.poses).mean(axis=1) for name, scores in found.items()
        }
        return {f"identity/{name}": scores for name, scores in means.items()}


@lru_cache(maxsize=2)
def _gallery(characters: int, poses: int, size: int) -> Images:
    scenes = [scene for who in held_out_characters(characters, poses) for scene in who.gallery]
    return np.stack([_drawn(scene, size) for scene in scenes])


def _drawn(scene: Scene, size: int) -> Image:
    return render(scene, size, size, maps=False).image


def _promised(scene: Scene) -> dict[str, str]:
    """What can be read from its framing."""
    labels = scene.labels()
    return {kind: labels[kind] for kind in sorted(scene.readable())}


def _kept(
    samples: Sequence[Sample], read: Mapping[str, Sequence[str]], kinds: Sequence[str]
) -> Scores:
    """The share of the kinds, of those that the framing shows, that are as they were."""
    rows = [
        [read[kind][i] == sample.promised[kind] for kind in kinds if kind in sample.promised]
        for i, sample in enumerate(samples)
    ]
    return np.array([float(np.mean(row)) for row in rows])
