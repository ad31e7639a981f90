"""The encoder of looks, against the closed form of what it computes."""

from pathlib import Path

import pytest
import torch

from luciole.models.classifier import AttributeClassifier
from luciole.models.looks import LooksEncoder

CLASSES = {"hair_style": ["short", "long", "bun"], "skin": ["light", "dark"]}


def tiny() -> AttributeClassifier:
    torch.manual_seed(0)
    return AttributeClassifier(CLASSES, [8, 8])


def test_the_cosine_is_the_mean_overlap_of_what_is_read(tmp_path: Path) -> None:
    classifier, pictures = tiny(), torch.rand(2, 3, 32, 32) * 2 - 1
    classifier.save(tmp_path)
    encoder = LooksEncoder.load(tmp_path)
    with torch.no_grad():
        seen = encoder(pictures)
        read = {kind: scores.softmax(dim=1) for kind, scores in classifier(pictures).items()}
    assert seen.shape == (2, encoder.width) == (2, 5)
    torch.testing.assert_close(seen.norm(dim=1), torch.ones(2))
    overlap = torch.stack([(a * b).sqrt().sum() for a, b in read.values()]).mean()
    torch.testing.assert_close(seen[0] @ seen[1], overlap)


@pytest.mark.parametrize("differing", [0, 1, 2])
def test_each_look_that_surely_differs_takes_its_share(differing: int) -> None:
    class Sure(AttributeClassifier):
        def forward(self, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
            found = {}
            for number, (kind, values) in enumerate(self.classes.items()):
                scores = torch.full((2, len(values)), -50.0)
                scores[0, 0] = scores[1, int(number < differing)] = 50.0
                found[kind] = scores
            return found

    first, second = LooksEncoder(Sure(CLASSES, [8]))(torch.zeros(2, 3, 8, 8))
    assert (first @ second).item() == pytest.approx(1 - differing / 2)
