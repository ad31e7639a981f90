"""Reports become tables that a README can show."""

import json
from pathlib import Path

import pytest

from evals.errors import EvaluationError
from evals.figures import page, read, table

ROOT = Path(__file__).parents[2]


def test_a_report_is_a_table_with_intervals(tmp_path: Path) -> None:
    one = {"value": 0.5, "low": 0.4, "high": 0.625}
    row = {
        "metric": "words/all",
        "better": "higher",
        "count": 40,
        "values": {"base": one, "new": one},
        "differences": {"new": one},
        "real": None,
    }
    file = tmp_path / "report.json"
    file.write_text(json.dumps({"checkpoints": {"base": {}, "new": {}}, "metrics": [row]}))
    lines = table(read(file)).splitlines()
    assert lines[0] == "| metric | base | new | new less base | real | n |"
    value = "0.5 [0.4, 0.625]"
    assert lines[2] == f"| words/all ↑ | {value} | {value} | +0.5 [+0.4, +0.625] |  | 40 |"
    file.write_text("{}")
    with pytest.raises(EvaluationError, match="has no checkpoints"):
        read(file)


def test_a_page_tells_what_each_suite_asks_and_finds(tmp_path: Path) -> None:
    (tmp_path / "pose").mkdir()
    report = json.dumps({"checkpoints": {"alone": {}}, "metrics": []})
    files = [tmp_path / "pose" / "report.json", tmp_path / "unheard.json"]
    for file in files:
        file.write_text(report)
    told = page(files)
    assert "## pose\n\nDo people stand as an OpenPose drawing says?\n\n| metric" in told
    assert "## unheard\n\n| metric" in told


def test_the_page_in_the_docs_is_that_of_the_committed_reports() -> None:
    told = page(sorted((ROOT / "evals" / "results").glob("*.json")))
    assert (ROOT / "docs" / "figures.md").read_text() == told
