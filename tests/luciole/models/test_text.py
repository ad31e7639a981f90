"""Text conditions against diffusers."""

from pathlib import Path

import pytest
import torch

from luciole.models.folder import load_conditions, load_pipeline

PROMPTS = ["a girl walking in rain", "red hair", ""]

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_states_and_summary_are_those_of_diffusers(tiny_folder: Path) -> None:
    pipeline = load_pipeline(str(tiny_folder))
    conditions = load_conditions(str(tiny_folder))
    with torch.no_grad():
        states, pooled = conditions(PROMPTS)
        theirs = pipeline.encode_prompt(
            PROMPTS, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False
        )
    torch.testing.assert_close(states, theirs[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(pooled, theirs[2], rtol=0, atol=1e-5)


def test_each_encoder_pads_as_its_tokenizer_says(tiny_folder: Path) -> None:
    conditions = load_conditions(str(tiny_folder))
    first, second = conditions.ids(["rain"])
    assert first.shape == second.shape == (1, 77)
    assert [first[0, -1], second[0, -1]] == [part.pad_token_id for part in conditions.tokenizers]
    assert first[0, -1] != second[0, -1]


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="tokenizer"):
        load_conditions(str(tmp_path))
