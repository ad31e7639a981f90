"""What a run without an account leaves for `wandb sync`, read back record by record."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb
from wandb.proto.wandb_internal_pb2 import Record

from tests.training.test_experiments import pytestmark as pytestmark
from tests.training.test_experiments import tiny
from training.__main__ import train

BLOCK, HEADER = 32768, 7


def records(file: Path) -> Iterator[Record]:
    """LevelDB's log format: blocks of 32 KiB, each record with checksum, length and kind."""
    data = file.read_bytes()
    assert data[:4] == b":W&B"
    place, parts = HEADER, b""
    while place + HEADER <= len(data):
        left = BLOCK - place % BLOCK
        if left < HEADER:
            place += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        parts += data[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (1, 4):
            yield Record.FromString(parts)
            parts = b""


def test_an_offline_run_holds_the_losses_and_the_configuration(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("WANDB_SILENT", "true")
    for name in ("one", "two"):
        words = ["logger=wandb", "trainer.log_every_n_steps=1"]
        train(tiny("pocket_judge", tmp_path / name, *words))
        assert wandb.run is None, "a sweep's next run would write into this one"
    (file,) = (tmp_path / "two" / "runs" / "pocket_judge").glob("wandb/offline-run-*/run-*.wandb")
    told = list(records(file))
    keys = {
        item.key or ".".join(item.nested_key)
        for record in told
        if record.HasField("history")
        for item in record.history.item
    }
    assert {"train/loss", "train/grad_norm", "val/accuracy"} <= keys
    settings = {
        update.key or ".".join(update.nested_key)
        for record in told
        if record.HasField("run") or record.HasField("config")
        for update in (record.run.config if record.HasField("run") else record.config).update
    }
    assert any("trainer" in name for name in settings)
