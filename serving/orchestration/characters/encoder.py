"""What turns pictures into directions that can be compared."""

from typing import Protocol

import numpy as np
from jaxtyping import Float32, UInt8

Pictures = UInt8[np.ndarray, "n height width 3"]
Embeddings = Float32[np.ndarray, "n d"]


class Encoder(Protocol):
    """An image encoder; directions of two encoders are never compared."""

    @property
    def hash(self) -> str:
        """SHA-256 of what it computes with."""
        ...

    @property
    def size(self) -> int:
        """Width and height in pixels of the pictures it takes."""
        ...

    @property
    def dimension(self) -> int:
        """Of a direction."""
        ...

    def embed(self, pictures: Pictures) -> Embeddings:
        """One direction a picture, of any length; raises EngineError."""
        ...
