"""The text encoders learn to say what a caption is about."""

from pathlib import Path

import numpy as np
import pytest
import torch

from luciole.data.described import DescribedScenes
from luciole.data.pictures import Pictures
from luciole.data.stream import Batch
from luciole.models.folder import load_conditions
from luciole.storyworld import ATTRIBUTES
from training.words import WordsTask


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> DescribedScenes:
    folder = tmp_path_factory.mktemp("scenes")
    return DescribedScenes(Pictures.draw(24, str(folder), "train", size=32, workers=1, shard=24))


def batch_of(scenes: DescribedScenes) -> Batch:
    chances = [np.random.default_rng(row) for row in range(len(scenes))]
    return scenes.gather(np.arange(len(scenes)), chances, 0)


def test_the_labels_are_what_the_scene_was_drawn_from(scenes: DescribedScenes) -> None:
    for row, labels in enumerate(batch_of(scenes)["labels"].tolist()):
        drawn = scenes.pictures.words[row]["labels"]
        read = {
            kind: ATTRIBUTES[kind][label] for kind, label in zip(ATTRIBUTES, labels, strict=True)
        }
        assert read == {kind: drawn[kind] for kind in ATTRIBUTES}


def test_both_encoders_learn_and_the_readings_come_true(
    scenes: DescribedScenes, tiny_folder: Path
) -> None:
    torch.manual_seed(0)
    task = WordsTask(
        load_conditions(str(tiny_folder)),
        ATTRIBUTES,
        optimizer=torch.optim.AdamW,
        learning_rate=torch.optim.lr_scheduler.ConstantLR,
    )
    task.log = lambda *_, **__: None  # type: ignore[method-assign]
    batch, losses = batch_of(scenes), []
    optimizer = torch.optim.AdamW(task.parameters(), lr=3e-3)
    for step in range(25):
        loss = task.training_step(batch, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    for encoder in (task.conditions.text_encoder, task.conditions.text_encoder_2):
        assert any(weight.grad is not None and weight.grad.any() for weight in encoder.parameters())
