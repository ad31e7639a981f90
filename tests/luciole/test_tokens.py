from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luciole.bundle import Bundle
from luciole.tokens import PromptTokenizer

WORD = "rain "


@pytest.fixture(scope="module")
def ours(tiny_bundle: Bundle) -> PromptTokenizer:
    return PromptTokenizer(tiny_bundle)


@pytest.fixture(scope="module")
def theirs(tiny_folder: Path) -> list[Any]:
    from transformers import CLIPTokenizer

    names = ("tokenizer", "tokenizer_2")
    return [CLIPTokenizer.from_pretrained(tiny_folder / name) for name in names]


def padded(tokenizer: Any, text: str) -> np.ndarray:
    return np.asarray(tokenizer(text, padding="max_length", max_length=77).input_ids)


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "1girl, red hair, rain",
        "A GIRL, walking in RAIN!!",
        "naïve café — 雨の中",
        "it's 3 o'clock",
    ],
)
def test_a_short_prompt_is_one_window_as_clips_tokenizer_pads_it(
    ours: PromptTokenizer, theirs: list[Any], prompt: str
) -> None:
    windows = ours.windows(prompt)
    assert windows.first.shape == windows.second.shape == (1, 77)
    assert windows.first.dtype == np.int64
    np.testing.assert_array_equal(windows.first[0], padded(theirs[0], prompt))
    np.testing.assert_array_equal(windows.second[0], padded(theirs[1], prompt))


@given(prompt=st.text(max_size=300))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_windows_together_hold_every_token_in_order(
    ours: PromptTokenizer, theirs: list[Any], prompt: str
) -> None:
    windows = ours.windows(prompt)
    for rows, tokenizer in zip((windows.first, windows.second), theirs, strict=True):
        expected = tokenizer(prompt, add_special_tokens=False).input_ids
        inner = []
        for row in rows.tolist():
            assert row[0] == tokenizer.bos_token_id
            end = row.index(tokenizer.eos_token_id, 1)
            inner += row[1:end]
            assert set(row[end + 1 :]) <= {tokenizer.pad_token_id}
        if tokenizer.eos_token_id not in expected:
            assert inner == expected


@pytest.mark.parametrize(
    ("words", "windows"), [(0, 1), (1, 1), (75, 1), (76, 2), (150, 2), (800, 11)]
)
def test_a_window_holds_seventy_five_tokens(
    ours: PromptTokenizer, words: int, windows: int
) -> None:
    assert ours.windows_needed(WORD * words) == windows
    assert len(ours.windows(WORD * words)) == windows


def test_windows_left_over_are_those_of_an_empty_prompt(ours: PromptTokenizer) -> None:
    windows, empty = ours.windows("rain", count=3), ours.windows("")
    assert len(windows) == 3
    np.testing.assert_array_equal(windows.first[1], empty.first[0])
    np.testing.assert_array_equal(windows.second[2], empty.second[0])


def test_asking_for_too_few_windows_cuts_nothing(ours: PromptTokenizer) -> None:
    assert len(ours.windows(WORD * 100, count=1)) == 2
