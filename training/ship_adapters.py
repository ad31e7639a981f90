"""`python -m training.ship_adapters identity out/models/pocket_identity`: an adapter, in fp16.

A style (`... style out/styles/ink`) is in fp16 already; its card, preview and figures come along.
"""

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

from luciole.adapters.control import load_control
from luciole.adapters.identity import IdentityAdapter
from luciole.adapters.lora_file import read_lora, weights_hash
from luciole.models.folder import load_denoiser
from training.identity import WEIGHTS
from training.ship import SHIPPED

STYLE = "pytorch_lora_weights.safetensors"
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


def ship_style(trained: Path, denoiser: Any, to: Path) -> int:
    """Of a run's folder, where it was trained on this denoiser; the bytes of its weights."""
    read_lora(trained / STYLE, {"unet": denoiser}, weights_hash(denoiser))

    def write(folder: Path) -> None:
        for name in (STYLE, "README.md", "figures.json", f"{trained.name}.png"):
            shutil.copy(trained / name, folder / name)

    return _ship(write, to)


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
    parser.add_argument("kind", choices=("identity", "pose", "depth", "style"))
    parser.add_argument("trained", type=Path, help="what a run has left")
    parser.add_argument("--base", type=Path, default=SHIPPED)
    parser.add_argument("--to", type=Path, help="beside the base, by its kind")
    args = parser.parse_args()
    places = {
        "identity": "identity",
        "pose": "control_pose",
        "depth": "control_depth",
        "style": f"styles/{args.trained.name}",
    }
    to = args.to or SHIPPED.parent / places[args.kind]
    ship = {"identity": ship_identity, "style": ship_style}.get(args.kind, ship_control)
    size = ship(args.trained, load_denoiser(str(args.base)), to)
    print(f"{to}: {size:,} bytes of weights")  # noqa: T201


if __name__ == "__main__":
    main()
