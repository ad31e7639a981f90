"""Sets of captioned pictures of every kind."""

import io
import json
import tarfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import datasets
import pytest

from luciole.data.hugging_face import HuggingFace, HuggingFaceStream
from luciole.data.image_folder import ImageFolder
from luciole.data.kohya import KohyaPairs
from luciole.data.records import Record, Records
from luciole.data.shards import Shards

Png = Callable[..., bytes]


def read(records: Records, record: Record) -> bytes:
    return records.read(record.file, record.offset, record.length)


def rewritten(file: Path, data: bytes) -> None:
    """Same size, same time of change: only what a file system notes by itself differs."""
    import os

    before = file.stat()
    file.write_bytes(data)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_folder_says_what_its_lines_say(folder: Path, png: Png) -> None:
    records = list(ImageFolder(str(folder), licence="mine"))
    assert [one.key for one in records] == [f"{i}.png" for i in range(6)]
    assert records[0].captions == ("picture 0",)
    assert records[2].captions == ("tall", "narrow")
    assert records[2].extra == {"artist": "me"}
    assert [one.licence for one in records[:3]] == ["CC0-1.0", "CC0-1.0", "mine"]
    assert [one.opt_out for one in records] == [False] * 4 + [True, False]
    assert read(ImageFolder(str(folder)), records[1]) == png(1, 40, 40)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"text": "a"}', r'metadata.jsonl:7: no "file_name"'),
        ('{"file_name": "9.png", "text": "a"}', r"metadata.jsonl:7: .*9.png is not there"),
        ('{"file_name": "1.png"}', r'metadata.jsonl:7: no caption; give it a field "text"'),
        ('{"file_name": "1.png", "text": " "}', "metadata.jsonl:7: the caption is empty"),
        ('{"file_name": "1.png", "text": []}', "metadata.jsonl:7: the caption is empty"),
        (
            '{"file_name": "1.png", "text": "a", "opt_out": "no"}',
            "metadata.jsonl:7: opt_out is 'no'",
        ),
        ("{", "metadata.jsonl:7: not JSON"),
        ("[]", "metadata.jsonl:7: not a JSON object"),
    ],
)
def test_a_wrong_line_is_named(folder: Path, line: str, complaint: str) -> None:
    with (folder / "metadata.jsonl").open("a") as lines:
        lines.write(line + "\n")
    with pytest.raises((ValueError, FileNotFoundError), match=complaint):
        list(ImageFolder(str(folder)))


def test_a_folder_without_metadata_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"metadata\.jsonl: not there; write a line"):
        ImageFolder(str(tmp_path))


@pytest.mark.parametrize("changed", ["metadata.jsonl", "3.png"])
def test_a_file_written_anew_is_another_version(folder: Path, changed: str) -> None:
    before = ImageFolder(str(folder)).version()
    assert ImageFolder(str(folder)).version() == before
    rewritten(folder / changed, (folder / changed).read_bytes())
    assert ImageFolder(str(folder)).version() != before


@pytest.fixture
def pairs(tmp_path: Path, png: Png) -> Path:
    place = tmp_path / "pairs"
    for name, folder in (("a", place), ("b", place / "3_lea"), ("c", place / "3_lea")):
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.png").write_bytes(png(ord(name)))
        (folder / f"{name}.txt").write_text(f"a picture of {name}\n{name}, drawn\n\n")
    (place / "notes.md").write_text("not a picture")
    return place


def test_kohya_pairs_repeat_as_their_folder_says(pairs: Path, png: Png) -> None:
    records = list(KohyaPairs(str(pairs), licence="CC0-1.0"))
    assert [(one.key, one.repeats) for one in records] == [
        ("a.png", 1),
        ("3_lea/b.png", 3),
        ("3_lea/c.png", 3),
    ]
    assert records[1].captions == ("a picture of b", "b, drawn")
    assert records[1].licence == "CC0-1.0"
    assert read(KohyaPairs(str(pairs)), records[1]) == png(ord("b"))


def test_a_picture_without_a_text_is_named_or_called_by_its_folder(pairs: Path) -> None:
    before = KohyaPairs(str(pairs)).version()
    (pairs / "3_lea" / "b.txt").unlink()
    assert KohyaPairs(str(pairs)).version() != before
    with pytest.raises(ValueError, match=r"b\.png: no caption; b\.txt is not beside it"):
        list(KohyaPairs(str(pairs)))
    called = list(KohyaPairs(str(pairs), name_as_caption=True))
    assert called[1].captions == ("lea",)
    (pairs / "a.txt").write_text("\n")
    with pytest.raises(ValueError, match=r"a\.txt: the caption is empty"):
        list(KohyaPairs(str(pairs), name_as_caption=True))


def packed(file: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(file, "w") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


@pytest.fixture
def shards(tmp_path: Path, png: Png) -> str:
    told = json.dumps({"text": "from JSON", "licence": "CC-BY-4.0", "opt_out": 1, "hash": "x"})
    packed(
        tmp_path / "0.tar",
        {
            "a.png": png(0),
            "a.txt": b"first",
            "in/a.jpg": png(1),
            "in/a.json": told.encode(),
            "in/a.cls": b"3",
        },
    )
    packed(tmp_path / "1.tar", {"a.txt": b"third", "a.png": png(2)})
    return f"{tmp_path}/*.tar"


def test_any_member_of_a_shard_is_read_by_its_place(shards: str, png: Png) -> None:
    source = Shards(shards, licence="CC0-1.0")
    records = list(source)
    assert [one.key for one in records] == ["0.tar:a", "0.tar:in/a", "1.tar:a"]
    assert [one.captions for one in records] == [("first",), ("from JSON",), ("third",)]
    assert [one.licence for one in records] == ["CC0-1.0", "CC-BY-4.0", "CC0-1.0"]
    assert [one.opt_out for one in records] == [False, True, False]
    assert records[1].extra == {"hash": "x"}
    assert [read(source, records[i]) for i in (2, 0, 1)] == [png(2), png(0), png(1)]


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ({"a.png": b"x"}, r"2\.tar:a: no caption"),
        ({"a.txt": b"x"}, r"2\.tar:a: no picture among \.txt"),
        ({"a.png": b"x", "a.json": b"{"}, r"2\.tar:a\.json: not JSON"),
        ({"a.png": b"x", "a.txt": b"\xff"}, r"2\.tar:a\.txt: not UTF-8"),
    ],
)
def test_a_sample_that_lacks_something_is_named(
    shards: str, members: dict[str, bytes], complaint: str
) -> None:
    packed(Path(shards).parent / "2.tar", members)
    with pytest.raises(ValueError, match=complaint):
        list(Shards(shards))


def test_broken_and_missing_shards_are_named(shards: str) -> None:
    whole = Path(shards).with_name("0.tar").read_bytes()
    Path(shards).with_name("0.tar").write_bytes(whole[:1500])
    with pytest.raises(ValueError, match=r"0\.tar: not an uncompressed tar file"):
        list(Shards(shards))
    with pytest.raises(FileNotFoundError, match=r"none-\*\.tar: no such shards"):
        Shards(str(Path(shards).with_name("none-*.tar")))


@pytest.fixture
def parquet(tmp_path: Path, png: Png) -> str:
    rows: dict[str, list[Any]] = {
        "image": [{"bytes": png(i), "path": None} for i in range(5)],
        "said": [f"row {i}" for i in range(5)],
        "licence": ["CC0-1.0", None, None, None, None],
        "opt_out": [False, False, True, False, False],
        "year": [1990 + i for i in range(5)],
    }
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "said": datasets.Value("string"),
            "licence": datasets.Value("string"),
            "opt_out": datasets.Value("bool"),
            "year": datasets.Value("int64"),
        }
    )
    file = str(tmp_path / "rows.parquet")
    datasets.Dataset.from_dict(rows, features=features).to_parquet(file)
    return file


def loaded(parquet: str, streaming: bool = False) -> Any:
    cache = str(Path(parquet).parent / "cache")
    return datasets.load_dataset(
        "parquet", data_files=parquet, split="train", streaming=streaming, cache_dir=cache
    )


def test_a_hugging_face_set_is_read_by_row(parquet: str, png: Png) -> None:
    source = HuggingFace(loaded(parquet), "mine", caption="said", extra=["year"])
    records = list(source)
    assert [one.captions for one in records] == [(f"row {i}",) for i in range(5)]
    assert [one.opt_out for one in records] == [False, False, True, False, False]
    assert records[0].licence == "CC0-1.0"
    assert records[3].extra == {"year": 1993}
    assert records[3].key == "mine[3]"
    assert read(source, records[3]) == png(3)
    same = HuggingFace(loaded(parquet), "mine", caption="said", extra=["year"])
    assert same.version() == source.version()
    fewer = HuggingFace(loaded(parquet).select(range(4)), "mine", caption="said", extra=["year"])
    assert fewer.version() != source.version()
    with pytest.raises(ValueError, match='mine: no column "text"; there are image, said'):
        HuggingFace(loaded(parquet), "mine")


def stream(parquet: str, folder: Path, **changed: Any) -> HuggingFaceStream:
    asked = {"caption": "said", "shard": 2, "count": 5, "extra": ["year"], **changed}
    return HuggingFaceStream(loaded(parquet, streaming=True), "mine", str(folder), **asked)


def test_a_stream_is_the_same_set_once_it_was_read(
    parquet: str, tmp_path: Path, png: Png, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = stream(parquet, tmp_path / "stream")
    records = list(source)
    wanted = list(HuggingFace(loaded(parquet), "mine", caption="said", extra=["year"]))
    for name in ("captions", "licence", "opt_out", "extra"):
        assert [getattr(one, name) for one in records] == [getattr(one, name) for one in wanted]
    assert [read(source, one) for one in records] == [png(i) for i in range(5)]
    with monkeypatch.context() as offline:
        offline.delattr(datasets.IterableDataset, "__iter__")
        assert list(stream(parquet, tmp_path / "stream")) == records
    assert len(list(stream(parquet, tmp_path / "few", count=3))) == 3


def test_a_stream_that_broke_off_goes_on_behind_the_last_whole_shard(
    parquet: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, whole = tmp_path / "stream", datasets.IterableDataset.__iter__

    def three(self: Any) -> Any:
        yield from islice(whole(self), 3)
        raise ConnectionError

    with monkeypatch.context() as broken:
        broken.setattr(datasets.IterableDataset, "__iter__", three)
        with pytest.raises(ConnectionError):
            stream(parquet, place)
    first = place / "000000000.tar"
    kept = first.stat().st_mtime_ns
    assert [one.captions[0] for one in stream(parquet, place)] == [f"row {i}" for i in range(5)]
    assert first.stat().st_mtime_ns == kept


def test_another_stream_does_not_pass_for_the_one_that_was_read(
    parquet: str, tmp_path: Path
) -> None:
    stream(parquet, tmp_path / "stream")
    with pytest.raises(ValueError, match=r"stream\.json: holds .*give another folder"):
        stream(parquet, tmp_path / "stream", count=4)
