"""A few drawn pictures that the data tests share."""

from pathlib import Path

import pytest

from luciole.data.pictures import Pictures


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    """Twelve training pictures of 64 px in shards of eight."""
    folder: Path = tmp_path_factory.mktemp("pictures")
    return Pictures.draw(12, str(folder), size=64, workers=1, shard=8)
