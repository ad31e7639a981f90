"""The pictures that plans name, for whoever draws at once."""

import numpy as np
from jaxtyping import UInt8

from luciole.domain import InvalidRequest
from luciole.pictures import decoded
from serving.gateway.assets.uploads import FORMATS
from serving.storage.objects import Objects


class ShelvedPictures:
    """Looks into the store alone: whose a picture is was asked when the plan was made."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def open(self, sha256: str) -> UInt8[np.ndarray, "height width 3"]:
        """The decoded picture; InvalidRequest if nobody has stored it."""
        for _, extension in FORMATS.values():
            if content := self._objects.get(sha256, extension):
                return decoded(content)
        raise InvalidRequest("picture", f"{sha256[:12]} is not here; upload it first")
