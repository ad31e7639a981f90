"""What comes with the checkout: weights, judge and card agree with each other."""

import hashlib
import json
from pathlib import Path

import pytest

from evals.adherence import adherence, real_pictures
from evals.card import card
from evals.judge import load_judge
from evals.prompts import held_out_prompts

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "src" / "luciole" / "shipped" / "pocket"
JUDGE = ROOT / "evals" / "weights" / "judge"


def test_the_card_says_what_the_committed_report_measured() -> None:
    report = json.loads((ROOT / "evals" / "results" / "words.json").read_text())
    assert (SHIPPED / "README.md").read_text() == card(SHIPPED, report)


def test_four_words_in_five_are_found() -> None:
    report = json.loads((ROOT / "evals" / "results" / "words.json").read_text())
    assert report["model"]["overall"]["low"] >= 0.80


def test_the_weights_are_small() -> None:
    size = sum(file.stat().st_size for file in SHIPPED.rglob("*.safetensors"))
    assert 30_000_000 < size <= 40_000_000


def test_the_judge_reads_real_held_out_renders() -> None:
    prompts = held_out_prompts(120)
    result = adherence(prompts, real_pictures(prompts, 128), load_judge(JUDGE))
    assert result.overall.value > 0.94


def test_the_judges_card_names_its_weights() -> None:
    weights = hashlib.sha256((JUDGE / "model.safetensors").read_bytes()).hexdigest()
    assert weights in (JUDGE / "README.md").read_text()


def test_a_missing_judge_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is none; train one"):
        load_judge(tmp_path / "nowhere")
