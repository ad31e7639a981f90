"""The files of a service in a real S3: Ceph's, started here from the installed programs."""

import hashlib
import io
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import obstore
import pytest
from obstore.exceptions import AlreadyExistsError
from PIL import Image
from sqlalchemy import Engine

from serving.settings import Settings
from serving.storage.assets import sweep
from serving.storage.database import open_database
from serving.storage.errors import StorageFull, StorageUnavailable
from serving.storage.migrate import migrate
from serving.storage.objects import IMMUTABLE, Objects, open_objects, path_of
from tests.serving.freezing import freeze
from tests.serving.storage.ceph import BUCKET, Ceph, missing

URL = f"s3://{BUCKET}/pictures"
QUICK: Any = {
    "client_options": {"allow_http": True, "connect_timeout": "1s", "timeout": "1s"},
    "retry_config": {"max_retries": 1, "retry_timeout": timedelta(seconds=2)},
}


@pytest.fixture(scope="module")
def ceph() -> Iterator[Ceph]:
    if absent := missing():
        pytest.skip(f"no {', '.join(absent)} (Debian: apt-get install radosgw ceph-mon ceph-osd)")
    with (
        tempfile.TemporaryDirectory(prefix="luciole-ceph.") as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        made = Ceph(Path(folder))
        try:
            made.make()
            for name, value in made.environment.items():
                patch.setenv(name, value)
            yield made
        finally:
            made.stop()


@pytest.fixture
def objects(ceph: Ceph) -> Objects:
    return open_objects(URL)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path}/service.db")
    migrate(engine)
    yield engine
    engine.dispose()


def test_a_file_lies_under_its_hash_and_comes_back_whole(objects: Objects) -> None:
    said = os.urandom(3_000_000)
    sha256 = objects.put(said, "png", "image/png")
    assert sha256 == hashlib.sha256(said).hexdigest() == objects.put(said, "png", "image/png")
    assert objects.get(sha256, "png") == said
    assert (sha256, "png", len(said)) in [(o.sha256, o.extension, o.size) for o in objects.stored()]
    objects.delete(sha256, "png")
    objects.delete(sha256, "png")
    assert objects.get(sha256, "png") is None


def test_more_files_than_a_page_holds_are_all_listed_and_swept(
    ceph: Ceph, database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.storage.objects.PAGE", 3)
    ceph.bucket("many")
    objects = open_objects("s3://many")
    kept = {objects.put(f"{n}".encode(), "png", "image/png") for n in range(7)}
    assert [len(page) for page in objects.pages()] == [3, 3, 1]
    assert sweep(database, objects, timedelta(hours=1)) == []
    assert set(sweep(database, objects, timedelta(seconds=-2))) == kept
    assert list(objects.stored()) == []


def test_its_own_address_opens_a_part_for_a_while_and_only_as_it_was_signed(
    objects: Objects,
) -> None:
    sha256 = objects.put(b"0123456789", "png", "image/png")
    signed = objects.signed_url(sha256, "png", 60)
    assert signed is not None
    part = httpx.get(signed, headers={"range": "bytes=4-6"})
    assert (part.status_code, part.content) == (206, b"456")
    assert part.headers["content-range"] == "bytes 4-6/10"
    assert (part.headers["content-type"], part.headers["cache-control"]) == ("image/png", IMMUTABLE)
    had = {"if-none-match": part.headers["etag"]}
    assert httpx.get(signed, headers=had).status_code == 304
    assert httpx.get(signed, headers={"range": "bytes=10-"}).status_code == 416
    assert httpx.get(signed.replace(sha256, "0" * 64)).status_code == 403
    assert httpx.get(signed.partition("?")[0]).status_code == 403
    over = objects.signed_url(sha256, "png", 1)
    assert over is not None
    time.sleep(2.1)
    assert httpx.get(over).status_code == 403


def test_a_file_can_be_written_only_if_it_is_not_there_yet(objects: Objects) -> None:
    path = path_of("c" * 64, "txt")
    obstore.put(objects.store, path, b"first", mode="create")
    with pytest.raises(AlreadyExistsError):
        obstore.put(objects.store, path, b"second", mode="create")
    assert objects.get("c" * 64, "txt") == b"first"


def test_a_wrong_key_opens_nothing(ceph: Ceph) -> None:
    forged = open_objects(URL, secret_access_key="another")  # noqa: S106
    with pytest.raises(StorageUnavailable, match="privileges"):
        forged.put(b"x", "png", "image/png")


def test_a_full_bucket_is_told_by_name_and_what_is_there_stays(ceph: Ceph) -> None:
    ceph.bucket("small")
    objects = open_objects("s3://small")
    kept = objects.put(b"here", "png", "image/png")
    quota = ("--uid", "tests", "--bucket", "small", "--quota-scope", "bucket")
    ceph.admin("quota", "set", *quota, "--max-objects", "1")
    ceph.admin("quota", "enable", *quota)
    with pytest.raises(StorageFull, match="no room"):
        objects.put(b"one more", "png", "image/png")
    assert objects.get(kept, "png") == b"here"
    ceph.admin("quota", "disable", *quota)
    assert objects.get(objects.put(b"one more", "png", "image/png"), "png") == b"one more"


def test_a_store_that_is_silent_or_gone_is_an_error_soon_and_loses_nothing(ceph: Ceph) -> None:
    objects = open_objects(URL, **QUICK)
    kept = objects.put(b"still here", "png", "image/png")
    freeze(ceph.processes["radosgw"].pid)
    began = time.monotonic()
    with pytest.raises(StorageUnavailable, match="objects"):
        objects.get(kept, "png")
    ceph.stop_gateway()
    with pytest.raises(StorageUnavailable, match="objects"):
        objects.put(b"not now", "png", "image/png")
    assert time.monotonic() - began < 15
    ceph.start_gateway()
    assert objects.get(kept, "png") == b"still here"


def test_a_service_keeps_and_serves_its_pictures_there(
    ceph: Ceph, settings: Settings, serve: Callable[[Settings], AbstractContextManager[str]]
) -> None:
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (7, 0, 0)).save(file, "PNG")
    content = file.getvalue()
    with (
        serve(settings.model_copy(update={"objects_url": URL})) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        kept = client.post("/api/v1/assets", content=content).json()
        assert open_objects(URL).get(kept["sha256"], "png") == content
        part = client.get(kept["url"], headers={"range": "bytes=1-3"})
        assert (part.status_code, part.content) == (206, b"PNG")
        assert part.headers["etag"] == f'"{kept["sha256"]}"'
        had = {"if-none-match": part.headers["etag"]}
        assert client.get(kept["url"], headers=had).status_code == 304
        ceph.stop_gateway()
        away = client.post("/api/v1/assets", content=content)
        assert away.status_code == 503
        assert away.json()["type"].endswith(":storage_unavailable"), away.text
        ceph.start_gateway()
        assert client.get(kept["url"]).content == content
