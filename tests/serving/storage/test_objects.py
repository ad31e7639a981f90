"""Files by hash: whole or not at all, and gone when nothing refers to them."""

import hashlib
import os
import subprocess
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert

from luciole.domain import InvalidRequest
from serving.storage.assets import content, sweep
from serving.storage.database import open_database
from serving.storage.errors import StorageFull, StorageUnavailable
from serving.storage.migrate import migrate
from serving.storage.objects import Objects, open_objects
from serving.storage.tables import AssetRefRow, AssetRow, TenantRow

NOW = timedelta(0)
LATER = timedelta(hours=1)


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return open_objects((tmp_path / "a place").as_uri())


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path}/service.db")
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(insert(TenantRow).values(id="ada", name="Ada"))
    yield engine
    engine.dispose()


def name(database: Engine, sha256: str, size: int, referred: bool) -> None:
    with database.begin() as connection:
        row = {"sha256": sha256, "size": size, "mime": "image/png", "extension": "png"}
        connection.execute(insert(AssetRow).values(**row))
        if referred:
            ref = {"sha256": sha256, "tenant": "ada", "kind": "upload", "owner": "ada"}
            connection.execute(insert(AssetRefRow).values(**ref))


def test_a_file_lies_under_its_hash_and_comes_back_whole(objects: Objects, tmp_path: Path) -> None:
    said = b"\x89PNG" + bytes(1000)
    sha256 = objects.put(said, "png", "image/png")
    assert sha256 == hashlib.sha256(said).hexdigest()
    file = tmp_path / "a place" / "sha256" / sha256[:2] / f"{sha256}.png"
    assert file.read_bytes() == said == objects.get(sha256, "png")
    assert objects.put(said, "png", "image/png") == sha256
    [[stored]] = objects.pages()
    assert (stored.sha256, stored.extension, stored.size) == (sha256, "png", 1004)
    objects.delete(sha256, "png")
    objects.delete(sha256, "png")
    assert objects.get(sha256, "png") is None


def test_readers_never_see_a_part_of_a_file(objects: Objects) -> None:
    said = os.urandom(3_000_000)
    sha256 = hashlib.sha256(said).hexdigest()
    seen: set[int] = set()

    def read() -> None:
        while len(said) not in seen:
            found = objects.get(sha256, "bin")
            seen.add(-1 if found is None else len(found))

    reader = threading.Thread(target=read)
    reader.start()
    objects.put(said, "bin", "application/octet-stream")
    reader.join()
    assert seen <= {-1, len(said)}


def test_a_full_disk_is_told_by_name_and_leaves_no_part(tmp_path: Path) -> None:
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path]).returncode:
        pytest.skip("mounting a small disk needs the right to mount (CAP_SYS_ADMIN)")
    try:
        objects = open_objects(tmp_path.as_uri())
        with pytest.raises(StorageFull, match="no room"):
            objects.put(os.urandom(2_000_000), "bin", "application/octet-stream")
        assert list(objects.pages()) in ([], [[]])
        objects.put(os.urandom(100_000), "bin", "application/octet-stream")
    finally:
        subprocess.run(["umount", "--lazy", tmp_path], check=True)


def test_a_folder_that_refuses_is_no_loss_but_an_error(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "a place" / "sha256").write_text("a file where a folder should be")
    with pytest.raises(StorageUnavailable, match="objects"):
        objects.put(b"x", "png", "image/png")


def test_only_old_files_that_nothing_refers_to_are_swept(
    objects: Objects, database: Engine
) -> None:
    used, unreferred, unnamed = (objects.put(c, "png", "image/png") for c in (b"a", b"b", b"c"))
    name(database, used, 1, referred=True)
    name(database, unreferred, 1, referred=False)
    assert sweep(database, objects, LATER) == []
    assert set(sweep(database, objects, NOW)) == {unreferred, unnamed}
    assert content(database, objects, used) == b"a"
    with pytest.raises(InvalidRequest, match="none named"):
        content(database, objects, unreferred)
    assert [file.sha256 for page in objects.pages() for file in page] == [used]


def test_another_kind_of_store_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequest, match="objects_url: is ftp"):
        open_objects("ftp://somewhere")
