"""Reports become tables that a README can show."""

import json
from pathlib import Path

import pytest

from evals.errors import EvaluationError
from evals.figures import read, table


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
