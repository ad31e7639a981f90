"""The run's own log: one file, which a resumed run goes on with."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only


class RunLog(Logger):
    """`folder/metrics.csv`, a row each time something is logged, on the disk at once.

    Columns come in the order in which they first appear; a new one rewrites the file.
    """

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.file = Path(folder) / "metrics.csv"
        self.rows = 0
        self._columns: list[str] = []

    @property
    def name(self) -> str:
        """Of the run's folder."""
        return self.file.parent.name

    @property
    def version(self) -> str:
        """One run has one log."""
        return ""

    @property
    def save_dir(self) -> str:
        """The run's folder."""
        return str(self.file.parent)

    @rank_zero_only
    def begin(self, rows: int) -> None:
        """Keep that many rows of what is there: later ones are of steps that come again.

        Raises ValueError where the file has fewer.
        """
        kept = self.read()[:rows]
        if len(kept) < rows:
            raise ValueError(f"{self.file}: has {len(kept)} rows, the checkpoint speaks of {rows}")
        columns = {key: None for row in kept for key in row}
        self.rows, self._columns = rows, list(columns)
        self._write(kept)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Append a row."""
        row = {"step": step, **{name: float(value) for name, value in metrics.items()}}
        new = [name for name in row if name not in self._columns]
        if new:
            before = self.read() if self.rows else []
            self._columns += new
            self._write([*before, row])
        else:
            with self.file.open("a", newline="") as stream:
                csv.DictWriter(stream, self._columns).writerow(row)
        self.rows += 1

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """The run's folder holds the whole configuration already."""

    def read(self) -> list[dict[str, str]]:
        """The rows in the file; in each only what it has. None where there is no file."""
        if not self.file.exists():
            return []
        with self.file.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        return [{name: value for name, value in row.items() if value} for row in rows]

    def _write(self, rows: list[dict[str, Any]]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        part = self.file.with_suffix(".part")
        with part.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, self._columns)
            writer.writeheader()
            writer.writerows(rows)
        part.replace(self.file)


class LogPlace(pl.Callback):
    """A checkpoint knows how long the log was: rows of steps that come again are dropped."""

    def __init__(self) -> None:
        self._rows = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Before the first row."""
        for logger in trainer.loggers:
            if isinstance(logger, RunLog):
                logger.begin(self._rows)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """How long it is now."""
        lengths = [log.rows for log in trainer.loggers if isinstance(log, RunLog)]
        checkpoint["log_rows"] = max(lengths, default=0)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """How long it was then."""
        self._rows = checkpoint.get("log_rows", 0)
