"""The judge as a thing that is saved and loaded."""

from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file

from luciole.models.classifier import AttributeClassifier
from luciole.storyworld import ATTRIBUTES

CONF = Path(__file__).parents[3] / "conf"


def tiny() -> AttributeClassifier:
    torch.manual_seed(0)
    return AttributeClassifier(ATTRIBUTES, widths=[8, 8, 16])


def test_a_saved_judge_reads_the_same(tmp_path: Path) -> None:
    judge, pictures = tiny(), torch.rand(3, 3, 32, 32) * 2 - 1
    judge.save(tmp_path)
    again = AttributeClassifier.load(tmp_path)
    assert again.read(pictures) == judge.read(pictures)
    assert again.classes == {kind: list(values) for kind, values in ATTRIBUTES.items()}


def test_it_says_words_of_the_worlds_vocabulary() -> None:
    for reading in tiny().read(torch.zeros(2, 3, 32, 32)):
        assert set(reading) == set(ATTRIBUTES)
        assert all(value in ATTRIBUTES[kind] for kind, value in reading.items())


def test_a_key_too_many_is_an_error(tmp_path: Path) -> None:
    tiny().save(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    save_file({**weights, "spare": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(RuntimeError, match="spare"):
        AttributeClassifier.load(tmp_path)


def test_the_configured_judge_stays_small() -> None:
    judge = instantiate(OmegaConf.load(CONF / "task" / "classifier.yaml").classifier)
    assert sum(weight.numel() for weight in judge.parameters()) <= 1_200_000
