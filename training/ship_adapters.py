"""`python -m training.ship_adapters identity out/models/pocket_identity`: an adapter, in fp16."""

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

from luciole.adapters.control import load_control
from luciole.adapters.identity import IdentityAdapter
from luciole.models.folder import load_denoiser
from training.identity import WEIGHTS
from training.ship import SHIPPED

LIMIT = 6_000_000
"""Bytes that one adapter should weigh at most; the eye of identities is beside them all."""


def ship_identity(trained: Path, denoiser: Any, to: Path) -> int:
    """Of a run's folder, where it fits the denoiser; the bytes of its weights."""
    adapter = IdentityAdapter.load(trained / WEIGHTS, denoiser)

    def write(folder: Path) -> None:
        adapter.save(folder / WEIGHTS, half=True, metadata={})

    return _ship(write, to)


def ship_control(trained: Path, denoiser: Any, to: Path) -> int:
    """Of a run's folder, where it fits the denoiser; the bytes of its weights."""
    return _ship(load_control(str(trained), denoiser).half().save_pretrained, to)


def _ship(write: Any, to: Path) -> int:
    """Replaces the files of these names in `to`; ValueError, and nothing done, past `LIMIT`."""
    to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        write(Path(place))
        size = sum(file.stat().st_size for file in Path(place).glob("*.safetensors"))
        if size > LIMIT:
            raise ValueError(f"{to.name}: {size:,} bytes of weights are more than {LIMIT:,}")
        for file in Path(place).iterdir():
            shutil.copy(file, to / file.name)
    return size


def main() -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.ship_adapters", description=__doc__)
    parser.add_argument("kind", choices=("identity", "pose", "depth"))
    parser.add_argument("trained", type=Path, help="what a run has left")
    parser.add_argument("--base", type=Path, default=SHIPPED)
    parser.add_argument("--to", type=Path, help="beside the base, by its kind")
    args = parser.parse_args()
    to = args.to or SHIPPED.with_name(args.kind)
    ship = ship_identity if args.kind == "identity" else ship_control
    size = ship(args.trained, load_denoiser(str(args.base)), to)
    print(f"{to}: {size:,} bytes of weights")  # noqa: T201


if __name__ == "__main__":
    main()
