"""What turns pictures into directions that can be compared."""

import hashlib
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float32, UInt8
from numpy.typing import NDArray

from luciole.bundle import MANIFEST
from luciole.conditioning import run_in_batches
from luciole.domain import BundleError
from luciole.engines import Engine

Pictures = UInt8[np.ndarray, "n height width 3"]
Embeddings = Float32[np.ndarray, "n d"]
GRAPH = "image_encoder"


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


class EngineEncoder:
    """The image encoder of a bundle, over any engine."""

    def __init__(self, engine: Engine) -> None:
        """BundleError if the bundle was exported without one."""
        manifest = engine.bundle.manifest
        if manifest.vision is None or GRAPH not in manifest.graphs:
            words = f"{manifest.name!r} was exported without an image encoder"
            raise BundleError(MANIFEST, f"{words}; export it again")
        self._engine, self._vision = engine, manifest.vision
        spec = manifest.graphs[GRAPH]
        said = "".join(manifest.files[file] for file in sorted(spec.files))
        self.hash = hashlib.sha256(said.encode()).hexdigest()
        self.size = manifest.vision.side
        width = next(one.shape[1] for one in spec.outputs if one.name == "embeds")
        self.dimension = int(width)

    def embed(self, pictures: Pictures) -> Embeddings:
        """One direction a picture; raises EngineError."""
        mean, std = (np.array(v, np.float32) for v in (self._vision.mean, self._vision.std))
        pixels = (pictures.astype(np.float32) / 255 - mean) / std
        inputs: dict[str, NDArray[Any]] = {
            "pixels": np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)),
            "shown": np.ones(len(pictures), np.float32),
        }
        embeddings: Embeddings = run_in_batches(self._engine, GRAPH, inputs)["embeds"]
        return embeddings
