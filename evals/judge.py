"""The classifier that says what is to be seen in a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from evals.adherence import Judge
from evals.sample import Images
from luciole.models.classifier import AttributeClassifier


def load_classifier(folder: Path) -> AttributeClassifier:
    """From `training`; raises FileNotFoundError that names the folder."""
    if not (folder / "config.json").exists():
        raise FileNotFoundError(f"{folder}: there is none; train one with experiment=pocket_judge")
    return AttributeClassifier.load(folder)


def load_judge(folder: Path, batch: int = 32) -> Judge:
    """What a classifier sees in pictures."""
    classifier = load_classifier(folder)

    def judge(pictures: Images) -> Mapping[str, Sequence[str]]:
        seen = []
        for first in range(0, len(pictures), batch):
            pixels = torch.from_numpy(pictures[first : first + batch]).permute(0, 3, 1, 2)
            seen += classifier.read(pixels.float() / 127.5 - 1)
        return {kind: [one[kind] for one in seen] for kind in classifier.classes}

    return judge
