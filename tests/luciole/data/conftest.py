"""A few pictures, drawn and of one's own, that the data tests share."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from luciole.data.pictures import Pictures


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    """Twelve training pictures of 64 px in shards of eight."""
    folder: Path = tmp_path_factory.mktemp("pictures")
    return Pictures.draw(12, str(folder), size=64, workers=1, shard=8)


@pytest.fixture
def png() -> Callable[..., bytes]:
    """Draws a picture file."""
    return _png


def _png(seed: int, width: int = 40, height: int = 32) -> bytes:
    """A small picture file of noise."""
    out = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(noise).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six pictures, wide, square and tall, with captions; the fifth may not be used."""
    place = tmp_path / "mine"
    place.mkdir()
    sizes = [(64, 32), (40, 40), (32, 64), (65, 31), (41, 40), (32, 66)]
    lines: list[dict[str, Any]] = []
    for i, size in enumerate(sizes):
        (place / f"{i}.png").write_bytes(_png(i, *size))
        lines.append({"file_name": f"{i}.png", "text": f"picture {i}"})
    lines[0]["licence"] = lines[1]["licence"] = "CC0-1.0"
    lines[2] |= {"captions": ["tall", "narrow"], "artist": "me"}
    del lines[2]["text"]
    lines[4]["opt_out"] = True
    (place / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    return place
