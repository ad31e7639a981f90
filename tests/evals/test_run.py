"""From a command to a report: measured, shown, written, refused."""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir

from evals.__main__ import CONF, main, plan_of, quoted, run
from evals.errors import EvaluationError
from evals.metric import Metric
from evals.run import evaluate
from evals.sample import Images, Sample
from evals.statistics import Scores
from luciole.models.classifier import AttributeClassifier
from luciole.storyworld import ATTRIBUTES


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judge")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        AttributeClassifier(ATTRIBUTES, [8, 8, 8]).save(folder)
    return folder


def config(*overrides: str) -> Any:
    with initialize_config_dir(str(CONF), version_base=None):
        return compose("evals", [*quoted(overrides)])


def tiny(folder: Path, judge: Path, out: Path, *more: str) -> list[str]:
    return [
        f"checkpoints=[base={folder}+steps:1, candidate={folder}+steps:2]",
        f"judge={judge}",
        f"out={out}",
        f"cache={out}/renders",
        "prompts=10",
        "steps=2",
        "solver=euler",
        "batch=10",
        *more,
    ]


def test_two_checkpoints_are_measured_and_told_apart(
    tiny_folder: Path, judge: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = tiny(tiny_folder, judge, tmp_path, "gate=words/all does not fall by 0.9")
    assert run(config(*asked)) == 0
    shown = capsys.readouterr().out
    assert "words/hair_color" in shown
    assert "gate: passed" in shown
    told = json.loads((tmp_path / "report.json").read_text())
    rows = {row["metric"]: row for row in told["metrics"]}
    for row in rows.values():
        change = row["differences"]["candidate"]
        values = [row["values"][name]["value"] for name in ("base", "candidate")]
        assert change["value"] == pytest.approx(values[1] - values[0])
        assert change["low"] <= change["value"] <= change["high"]
    kinds = [rows[f"words/{kind}"]["values"]["base"]["value"] for kind in told["model"]["by_kind"]]
    assert rows["words/all"]["values"]["base"]["value"] == pytest.approx(np.mean(kinds))
    assert told["model"]["overall"]["value"] == pytest.approx(np.mean(kinds), abs=1e-4)
    assert told["gate"]["verdict"] == "passed"
    page = (tmp_path / "report.html").read_text()
    assert page.index("Gate: passed") < page.index("<svg") < page.index("data:image/jpeg;base64,")
    assert not re.search(r"(src|href)=\"(?!data:)", page)


@pytest.mark.parametrize(
    ("gate", "status"),
    [("words/all is above 0.99", 1), ("words/all rises by 0.9", 1), ("words/all rises", 3)],
)
def test_the_exit_status_is_the_gates(
    tiny_folder: Path, judge: Path, tmp_path: Path, gate: str, status: int
) -> None:
    same = f"checkpoints=[base={tiny_folder}, candidate={tiny_folder}]"
    assert run(config(*tiny(tiny_folder, judge, tmp_path, same, f"gate={gate}"))) == status


@dataclass(frozen=True)
class Broken:
    """A metric that fails for one sample."""

    unit = 1
    ceiling = False
    metrics = (Metric("broken/one", "higher", "none", 0.1),)

    def samples(self, seed: int, size: int) -> list[Sample]:
        return [Sample("rain", seed + i) for i in range(10)]

    def scores(self, samples: Sequence[Sample], pictures: Images) -> Mapping[str, Scores]:
        return {"broken/one": np.where(np.arange(10) == 7, np.nan, 1.0)}


def test_a_metric_without_a_number_is_named_and_nothing_is_reported(
    tiny_folder: Path, judge: Path, tmp_path: Path
) -> None:
    from dataclasses import replace

    plan = replace(plan_of(config(*tiny(tiny_folder, judge, tmp_path))), tasks={"broken": Broken()})
    with pytest.raises(EvaluationError, match="broken/one: base got nan for sample 7"):
        evaluate(plan)
    assert not (tmp_path / "report.json").exists()


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("seed=null", "seed: .*give it"),
        ("~tasks.words", "tasks: this suite is empty"),
        ("prompts=0", "prompts"),
        ("prompts=5", "5 are too few"),
        ("solver=best", "solver: .*give it"),
        ("confidence=95", "confidence: 95"),
        ("checkpoints=[]", "there are none"),
        ("gate=words/eyes rises", "'words/eyes' is not measured here"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    tiny_folder: Path, judge: Path, tmp_path: Path, override: str, told: str
) -> None:
    with pytest.raises(EvaluationError, match=told):
        run(config(*tiny(tiny_folder, judge, tmp_path, override)))


def test_the_command_line_says_in_one_line_what_it_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = quoted(["checkpoints=[base=nowhere, other=elsewhere]", f"out={tmp_path}"])
    monkeypatch.setattr(sys, "argv", ["evals", *asked])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "evaluation refused: base: nowhere holds neither" in capsys.readouterr().err


ELSEWHERE = {"parity", "story"}
"""One compares engines, the other frames that must be drawn first: they have tests of their own."""
SUITES = sorted({file.stem for file in (CONF / "suite").glob("*.yaml")} - ELSEWHERE)


@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_can_be_built(suite: str) -> None:
    plan = plan_of(config(f"suite={suite}"))
    plan.check()
    assert all(metric.paper and metric.matters > 0 for metric in plan.metrics)
