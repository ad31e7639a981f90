"""Looks at every picture of a set once, and writes down what it found."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from filelock import FileLock

from luciole.data.ahead import ahead
from luciole.data.catalog import Catalog, Entry
from luciole.data.pixels import Unreadable, rgb
from luciole.data.records import Record, Records

UNSAID = "not said"
"""In counts by licence: pictures without one."""


@dataclass
class Report:
    """Of one set: what was left out and why, and what the rest may be used for."""

    source: str
    pictures: int = 0
    opted_out: int = 0
    licences: Counter[str] = field(default_factory=Counter)
    unreadable: dict[str, str] = field(default_factory=dict)
    content: str = ""

    def write(self, file: Path) -> None:
        """As JSON, under a temporary name first."""
        part = file.with_suffix(f".{os.getpid()}.tmp")
        part.write_text(json.dumps(vars(self), indent=1, ensure_ascii=False))
        part.replace(file)

    @classmethod
    def load(cls, file: Path) -> Self:
        """What `write` left."""
        return cls(**json.loads(file.read_text()))


def surveyed(records: Records, folder: Path, threads: int) -> tuple[Catalog, Report, Path]:
    """The set's catalogue and report, and where the report is; written where they are not yet.

    Opted-out and unreadable pictures have no row, those that repeat have several. All is kept
    under the set's version, so a set whose files were written anew is looked at again.
    """
    place = folder / hashlib.sha256(f"{records.name}:{records.version()}".encode()).hexdigest()[:16]
    place.mkdir(parents=True, exist_ok=True)
    catalog, report = place / "catalog.arrow", place / "report.json"
    with FileLock(place / "lock"):
        if not report.exists():
            found = Report(records.name)
            Catalog.write(catalog, _entries(records, found, threads))
            found.write(report)
    return Catalog(catalog), Report.load(report), report


def content_of(data: bytes) -> bytes:
    """16 bytes of SHA-256."""
    return hashlib.sha256(data).digest()[:16]


def _entries(records: Records, report: Report, threads: int) -> Iterator[Entry]:
    digest = hashlib.sha256()

    def look(record: Record) -> tuple[int, int, bytes] | Unreadable:
        data = records.read(record.file, record.offset, record.length)
        try:
            image = rgb(data)
        except Unreadable as why:
            return why
        return image.height, image.width, content_of(data)

    for record, seen in ahead(look, _willing(records, report), threads):
        if isinstance(seen, Unreadable):
            report.unreadable[record.key] = str(seen)
            continue
        report.pictures += 1
        report.licences[record.licence or UNSAID] += 1
        entry = Entry(record, *seen)
        digest.update(entry.content + "\n".join(record.captions).encode())
        for _ in range(record.repeats):
            yield entry
    report.content = digest.hexdigest()[:16]


def _willing(records: Records, report: Report) -> Iterator[Record]:
    for record in records:
        if record.opt_out:
            report.opted_out += 1
        else:
            yield record
