"""The denoiser's blocks by short names, and weights for them."""

import re
from collections.abc import Mapping

from luciole.domain import InvalidRequest

MOST = 4.0
"""As loud as a block of a style can be made."""
_BLOCK = re.compile(r"(down|up)_blocks\.(\d+)\.|mid_block\.|text_encoder(_2)?\.")
_NAME = re.compile(r"(?:down|up|text)(?:\.\d)?|mid")
_NUMBER = re.compile(r"-?\d(?:\.\d{1,4})?")


def block_of(path: str) -> str:
    """`down.1` of `down_blocks.1...`, `text.2` of `text_encoder_2...`; else InvalidRequest."""
    found = _BLOCK.match(path)
    if found is None:
        raise InvalidRequest("styles", f"{path} lies in no block")
    if path.startswith("text_encoder"):
        return "text.2" if found[3] else "text.1"
    return "mid" if found[1] is None else f"{found[1]}.{found[2]}"


def check(blocks: Mapping[str, float]) -> None:
    """InvalidRequest names a block that there cannot be, or a weight beyond bounds."""
    for name, weight in blocks.items():
        if not _NAME.fullmatch(name):
            raise InvalidRequest("blocks", f"{name!r} is none of down, mid, up, text, down.1 ...")
        if not -MOST <= weight <= MOST:
            raise InvalidRequest("blocks", f"{name} {weight:g} must be from {-MOST:g} to {MOST:g}")


def weight_of(path: str, blocks: Mapping[str, float]) -> float:
    """The block's own weight, else that of its side, else 1."""
    block = block_of(path)
    return blocks.get(block, blocks.get(block.partition(".")[0], 1.0))


def variant(style: str, blocks: Mapping[str, float]) -> str:
    """The name of a style with weights for its blocks: `ink@down=0.5,up.0=1.2`."""
    told = ",".join(
        f"{name}={weight:.4f}".rstrip("0").rstrip(".") for name, weight in sorted(blocks.items())
    )
    return f"{style}@{told}" if blocks else style


def parse_variant(name: str) -> tuple[str, dict[str, float]]:
    """A style and the weights for its blocks; InvalidRequest for what `variant` does not write."""
    style, mark, told = name.partition("@")
    blocks: dict[str, float] = {}
    for part in told.split(",") if mark else []:
        block, _, weight = part.partition("=")
        if not (_NAME.fullmatch(block) and _NUMBER.fullmatch(weight)):
            raise InvalidRequest("styles", f"{part!r} in {name!r} is no weight such as down=0.5")
        blocks[block] = float(weight)
    check(blocks)
    return style, blocks
