"""An encoder that sees a picture's colours, and pictures for it."""

import hashlib
import io
from datetime import UTC, datetime

import numpy as np
from PIL import Image

from luciole.domain.character import Consent
from serving.orchestration.characters.crops import GivenPicture
from serving.orchestration.characters.encoder import Embeddings, Pictures

CONSENT = Consent(basis="fictional", given_by="a test", given_at=datetime(2026, 1, 1, tzinfo=UTC))


class Colours:
    """The mean colours of four quarters, in another order for another salt."""

    size, dimension, alike = 16, 12, 0.9

    def __init__(self, salt: str = "a") -> None:
        self.hash = hashlib.sha256(salt.encode()).hexdigest()
        self._order = np.random.default_rng(ord(salt)).permutation(self.dimension)

    def embed(self, pictures: Pictures) -> Embeddings:
        quarters = pictures.reshape(-1, 2, 8, 2, 8, 3).mean((2, 4)).reshape(-1, 12)
        shifted: Embeddings = (quarters[:, self._order] / 127.5 - 1).astype(np.float32)
        return shifted


def drawing(seed: int, change: int = 0, size: int = 32) -> bytes:
    """A PNG of four random colours; `change` lets them be a little different."""
    colours = np.random.default_rng(seed).integers(20, 235, (2, 2, 3))
    colours = colours + np.random.default_rng(change).integers(-4, 5, (2, 2, 3)) * (change > 0)
    pixels = colours.repeat(size // 2, 0).repeat(size // 2, 1).astype(np.uint8)
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "PNG")
    return target.getvalue()


def given(seed: int, change: int = 0) -> list[GivenPicture]:
    return [GivenPicture(drawing(seed, change))]
