"""`python -m training.ship`: what was trained becomes what comes with Luciole, in fp16."""

import argparse
import shutil
import tempfile
from pathlib import Path

from luciole.models.folder import load_pipeline, save_folder
from luciole.models.vision import load_image_encoder, over_clip_pixels

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "src" / "luciole" / "shipped" / "pocket"
IMAGE_ENCODER = SHIPPED.with_name("image_encoder")
LIMIT = 40_000_000
"""Bytes of weights that a checkout should carry at most."""


def ship(models: Path, to: Path) -> int:
    """Writes the whole folder in half precision beside `to`, then replaces its parts.

    The card and the history in `to` stay as they are. Returns the bytes of weights; raises
    ValueError, and replaces nothing, where they are more than `LIMIT`.
    """
    to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent) as place:
        fresh = Path(place) / "model"
        save_folder(load_pipeline(str(models)), fresh, half=True)
        for settings in fresh.rglob("*.json"):
            _forget_origin(settings)
        size = sum(file.stat().st_size for file in fresh.rglob("*.safetensors"))
        if size > LIMIT:
            raise ValueError(f"{models}: {size:,} bytes of weights are more than {LIMIT:,}")
        for part in sorted(fresh.iterdir()):
            _replace(part, to / part.name)
    return size


def ship_image_encoder(encoder: Path, to: Path) -> None:
    """What the `clip` recipe leaves, in half precision, over pixels as CLIP normalises them."""
    over_clip_pixels(load_image_encoder(str(encoder))).half().save_pretrained(to)


def _forget_origin(settings: Path) -> None:
    """Leave out where the model lay on the machine that shipped it."""
    lines = settings.read_text().splitlines(keepends=True)
    settings.write_text("".join(line for line in lines if '"_name_or_path"' not in line))


def _replace(part: Path, place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place)
    part.replace(place)


def main() -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.ship", description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("out/models/pocket"))
    parser.add_argument("--to", type=Path, default=SHIPPED)
    parser.add_argument("--image-encoder", type=Path, help="of the clip recipe, shipped beside it")
    args = parser.parse_args()
    if args.image_encoder:
        ship_image_encoder(args.image_encoder, IMAGE_ENCODER)
    print(f"{args.to}: {ship(args.models, args.to):,} bytes of weights")  # noqa: T201


if __name__ == "__main__":
    main()
