"""The OpenAPI document as a file, from which clients are generated."""

import json
from pathlib import Path

from serving.gateway.app import described

FILE = Path(__file__).with_name("openapi.json")


def text() -> str:
    """As it is kept; the same for the same routes."""
    return json.dumps(described(), indent=1, sort_keys=True) + "\n"
