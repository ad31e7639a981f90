"""An evaluation in Weights & Biases; offline where nobody has logged in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb


def log_run(project: str, name: str, told: Mapping[str, Any], out: Path) -> None:
    """Every value and difference as the run's summary, and the page."""
    mode: Any = "online" if wandb.api.api_key else "offline"
    with wandb.init(
        project=project, name=name, job_type="evals", mode=mode, dir=out, config=told["settings"]
    ) as run:
        for row in told["metrics"]:
            for who, one in row["values"].items():
                run.summary[f"{who}/{row['metric']}"] = one["value"]
            for who, one in row["differences"].items():
                run.summary[f"{who}/{row['metric']}/difference"] = one["value"]
        page = (out / "report.html").read_text()
        run.log({"report": wandb.Html(page, inject=False)})
