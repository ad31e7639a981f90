"""Albums: any set by row, with what must be left out left out."""

import json
import logging
import pickle
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest

from luciole.data import survey
from luciole.data.album import Album
from luciole.data.buckets import Buckets
from luciole.data.catalog import CHUNK, Catalog, Entry
from luciole.data.image_folder import ImageFolder
from luciole.data.kohya import KohyaPairs
from luciole.data.order import Bucketed
from luciole.data.pixels import Unreadable
from luciole.data.records import Record


def album(folder: Path, out: Path, **options: Any) -> Album:
    return Album(ImageFolder(str(folder)), str(out), **options)


def test_opted_out_pictures_have_no_row_and_are_counted(folder: Path, tmp_path: Path) -> None:
    found = album(folder, tmp_path / "out")
    assert [found.key(row) for row in range(len(found))] == [f"{i}.png" for i in (0, 1, 2, 3, 5)]
    assert found.captions(2) == ["tall", "narrow"]
    assert found.other(2) == {"artist": "me"}
    assert (found.licence(0), found.licence(2)) == ("CC0-1.0", None)
    assert found.sizes().tolist() == [[32, 64], [40, 40], [64, 32], [31, 65], [66, 32]]
    assert found.read(2).size == (32, 64)
    said = found.provenance()
    assert json.loads(json.dumps(said)) == said
    assert said["licences"] == {"CC0-1.0": 2, "not said": 3}
    assert (said["pictures"], said["opted_out"], said["unreadable"]) == (5, 1, 0)


def test_the_content_hash_follows_pictures_and_captions(
    folder: Path, tmp_path: Path, png: Callable[..., bytes]
) -> None:
    def content() -> str:
        said: str = album(folder, tmp_path / "out").provenance()["content"]
        return said

    first = content()
    assert content() == first
    (folder / "3.png").write_bytes(png(99))
    second = content()
    lines = (folder / "metadata.jsonl").read_text()
    (folder / "metadata.jsonl").write_text(lines.replace("picture 3", "picture three"))
    assert len({first, second, content()}) == 3


def test_a_set_is_looked_at_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    album(folder, tmp_path / "out")
    monkeypatch.setattr(survey, "rgb", None)
    assert len(album(folder, tmp_path / "out")) == 5


def broken(folder: Path) -> None:
    (folder / "0.png").write_bytes(b"")
    whole = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(whole[: len(whole) // 2])
    (folder / "3.png").write_bytes(b"<html>")


def test_unreadable_pictures_are_an_error_that_names_them(folder: Path, tmp_path: Path) -> None:
    broken(folder)
    with pytest.raises(ValueError, match="3 pictures cannot be read and corrupt_limit is 0") as it:
        album(folder, tmp_path / "out")
    assert "0.png: the file is empty; 1.png: damaged" in str(it.value)
    report = next((tmp_path / "out").rglob("report.json"))
    assert str(report) in str(it.value)
    assert list(json.loads(report.read_text())["unreadable"]) == ["0.png", "1.png", "3.png"]


def test_as_many_as_the_limit_says_are_left_out(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken(folder)
    with pytest.raises(ValueError, match="corrupt_limit is 2"):
        album(folder, tmp_path / "out", corrupt_limit=2)
    with caplog.at_level(logging.WARNING):
        found = album(folder, tmp_path / "out", corrupt_limit=3)
    assert "3 unreadable pictures left out" in caplog.text
    assert [found.key(row) for row in range(len(found))] == ["2.png", "5.png"]
    assert found.provenance()["unreadable"] == 3


def test_one_picture_is_not_a_set(folder: Path, tmp_path: Path) -> None:
    lines = (folder / "metadata.jsonl").read_text().splitlines()
    (folder / "metadata.jsonl").write_text(f"{lines[0]}\n{lines[4]}\n")
    with pytest.raises(ValueError, match=r"mine: 1 pictures to use \(1 opted out, 0 unreadable\)"):
        album(folder, tmp_path / "out")


def test_a_picture_that_changes_during_the_run_is_not_shown(
    folder: Path, tmp_path: Path, png: Callable[..., bytes]
) -> None:
    found = album(folder, tmp_path / "out")
    (folder / "1.png").write_bytes(png(99))
    with pytest.raises(Unreadable, match=r"1\.png changed during the run"):
        found.read(1)


def test_parts_share_no_picture_and_miss_none(folder: Path, tmp_path: Path) -> None:
    def keys(part: Any, share: float) -> list[str]:
        found = album(folder, tmp_path / "out", part=part, held_out=share)
        return [found.key(row) for row in range(len(found))]

    for share, count in ((0.01, 1), (0.4, 2), (0.99, 4)):
        train, held_out = keys("train", share), keys("held_out", share)
        assert len(held_out) == count
        assert sorted(train + held_out) == [f"{i}.png" for i in (0, 1, 2, 3, 5)]
    with pytest.raises(ValueError, match=r"held_out: 1\.5 is not a share"):
        keys("train", 1.5)


def test_copies_of_a_picture_stay_together(folder: Path, tmp_path: Path) -> None:
    for i in range(5):
        (folder / f"{i}.png").write_bytes((folder / "5.png").read_bytes())
    with pytest.raises(ValueError, match="all pictures are the same one"):
        album(folder, tmp_path / "out", part="train")


def test_repeated_pictures_have_as_many_rows(tmp_path: Path, png: Callable[..., bytes]) -> None:
    place = tmp_path / "pairs" / "3_lea"
    place.mkdir(parents=True)
    for i in range(2):
        (place / f"{i}.png").write_bytes(png(i))
        (place / f"{i}.txt").write_text("Léa")
    found = Album(KohyaPairs(str(tmp_path / "pairs")), str(tmp_path / "out"))
    assert [found.key(row) for row in range(len(found))] == ["3_lea/0.png"] * 3 + [
        "3_lea/1.png"
    ] * 3
    assert found.provenance()["pictures"] == 2


def test_reading_threads_change_nothing(folder: Path, tmp_path: Path) -> None:
    broken(folder)
    said = [
        album(folder, tmp_path / str(threads), corrupt_limit=3, threads=threads).provenance()
        for threads in (1, 2)
    ]
    assert said[0] == said[1]


def entries(count: int) -> Iterator[Entry]:
    for i in range(count):
        words = (f"a girl number {i} walks in the rain", f"girl {i}, rain")
        record = Record(f"{i:07}.png", words, f"{i % 1000}/{i:07}.png", licence="CC0-1.0")
        yield Entry(record, 512 + i % 640, 512 + i % 512, i.to_bytes(16, "big"))


def test_a_catalogue_opens_elsewhere_and_spans_chunks(tmp_path: Path) -> None:
    there = Catalog.write(tmp_path / "few.arrow", entries(CHUNK + 5))
    again = pickle.loads(pickle.dumps(there))  # noqa: S301
    for row in (0, CHUNK - 1, CHUNK, CHUNK + 4):
        assert again.value("key", row) == f"{row:07}.png"
        assert again.sizes()[row].tolist() == [512 + row % 640, 512 + row % 512]
        assert again.contents()[row].tobytes() == row.to_bytes(16, "big")


def private_memory() -> int:
    """Bytes that this process alone holds: pages of mapped files are the system's to take back."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024


@pytest.mark.slow
def test_a_million_rows_take_less_than_64_megabytes(tmp_path: Path) -> None:
    some = list(entries(10_000))
    Catalog.write(tmp_path / "warm.arrow", some * 2).sizes()
    before = private_memory()
    catalog = Catalog.write(tmp_path / "many.arrow", islice(cycle(some), 1_000_000))
    written = private_memory()
    buckets = Buckets(1024, 64, 512, 2048)
    order = Bucketed(buckets.choose(catalog.sizes()), 64, seed=3)
    for number in (0, order.batches // 2, 40 * order.batches + 17):
        for row in order.turn(number)[0]:
            assert catalog.value("captions", int(row))[1] == f"girl {row % 10_000}, rain"
    assert written - before < 32 << 20
    assert private_memory() - before < 64 << 20
    assert (tmp_path / "many.arrow").stat().st_size > 100 << 20
