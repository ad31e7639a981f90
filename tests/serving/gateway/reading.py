"""What the C2PA reader, a program of others, says of a file."""

import io
import json
from typing import Any

from c2pa import Context, Reader, Settings


def credentials_of(
    file: bytes, mime: str, anchor: bytes | None
) -> tuple[str | None, dict[str, Any]]:
    """What the C2PA reader says of a file, and its manifest."""
    trust = {} if anchor is None else {"trust": {"trust_anchors": anchor.decode()}}
    with (
        Context(Settings.from_dict(trust)) as context,
        Reader(mime, io.BytesIO(file), context=context) as reader,
    ):
        found = json.loads(reader.json())
        return reader.get_validation_state(), found["manifests"][found["active_manifest"]]
