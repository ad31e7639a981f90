"""The cache of what text encoders say."""

from pathlib import Path
from typing import Any

import pytest
import torch

from luciole.data.texts import CachedConditions, conditions_hash
from luciole.models.folder import load_conditions
from luciole.models.text import TextConditions

CAPTIONS = ["a girl", "", "red hair", "a girl"]


@pytest.fixture
def conditions(tiny_folder: Path) -> TextConditions:
    return load_conditions(str(tiny_folder)).eval().requires_grad_(False)


def encoded(monkeypatch: pytest.MonkeyPatch, conditions: Any, captions: list[str]) -> int:
    """How many captions go through the encoders."""
    seen: list[int] = []
    hook = conditions.text_encoder.register_forward_hook(lambda *_: seen.append(1))
    conditions(captions)
    hook.remove()
    return len(seen)


@pytest.mark.parametrize(("half", "tolerance"), [(True, 2e-3), (False, 1e-6)])
def test_it_says_what_the_encoders_say(
    conditions: TextConditions, tmp_path: Path, half: bool, tolerance: float
) -> None:
    cached = CachedConditions(conditions, str(tmp_path), half=half)
    with torch.no_grad():
        wanted = conditions(CAPTIONS)
    for _ in range(2):
        for found, known in zip(cached(CAPTIONS), wanted, strict=True):
            assert found.dtype == known.dtype == torch.float32
            torch.testing.assert_close(found, known, atol=tolerance, rtol=tolerance)


def test_a_caption_is_encoded_once(
    conditions: TextConditions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = CachedConditions(conditions, str(tmp_path))
    assert encoded(monkeypatch, cached, CAPTIONS) == 3
    assert encoded(monkeypatch, cached, CAPTIONS) == 0
    assert encoded(monkeypatch, cached, ["red hair", "rain"]) == 1
    assert encoded(monkeypatch, cached, ["rain"]) == 0
    again = CachedConditions(conditions, str(tmp_path))
    assert encoded(monkeypatch, again, [*CAPTIONS, "rain"]) == 0


def test_what_was_just_encoded_equals_what_comes_from_disk(
    conditions: TextConditions, tmp_path: Path
) -> None:
    fresh = CachedConditions(conditions, str(tmp_path), pack=100)
    first = [fresh([caption, "rain"]) for caption in CAPTIONS]
    fresh(CAPTIONS)
    other = CachedConditions(conditions, str(tmp_path))
    assert list(tmp_path.rglob("*.index.npy"))
    for caption, (states, pooled) in zip(CAPTIONS, first, strict=True):
        alone = other([caption])
        assert torch.equal(states[:1], alone[0])
        assert torch.equal(pooled[:1], alone[1])


def test_changed_weights_find_nothing(
    conditions: TextConditions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = CachedConditions(conditions, str(tmp_path), pack=1)
    before = cached(["rain"])[0]
    with torch.no_grad():
        next(conditions.text_encoder_2.parameters()).mul_(2)
    assert encoded(monkeypatch, cached, ["rain"]) == 1
    assert not torch.equal(cached(["rain"])[0], before)
    with torch.no_grad():
        next(conditions.text_encoder_2.parameters()).div_(2)
    assert torch.equal(cached(["rain"])[0], before)


def test_encoders_that_learn_are_refused(conditions: TextConditions, tmp_path: Path) -> None:
    cached = CachedConditions(conditions, str(tmp_path))
    cached.requires_grad_(True)
    with pytest.raises(RuntimeError, match="these text encoders learn"):
        cached(["rain"])


def test_its_weights_have_the_names_of_the_encoders_own(
    conditions: TextConditions, tmp_path: Path
) -> None:
    cached = CachedConditions(conditions, str(tmp_path))
    assert cached.state_dict().keys() == conditions.state_dict().keys()
    assert conditions_hash(cached) == conditions_hash(conditions)
