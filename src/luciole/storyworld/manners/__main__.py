"""`python -m luciole.storyworld.manners`: the same scenes in every manner, so that one can look."""

import argparse
from pathlib import Path

from PIL import Image

from luciole.storyworld.attributes import sample_scene
from luciole.storyworld.manners import MANNERS, drawn_in
from luciole.storyworld.render import render


def contact_sheet(first_seed: int, columns: int, size: int) -> Image.Image:
    """The plain pictures of consecutive seeds, and below them a row in each manner."""
    sheet = Image.new("RGB", (columns * size, (1 + len(MANNERS)) * size))
    for column in range(columns):
        scene = sample_scene(first_seed + column)
        rows = [render(scene, size, size, maps=False).image]
        rows += [drawn_in(manner, scene, size, size) for manner in MANNERS]
        for row, image in enumerate(rows):
            sheet.paste(Image.fromarray(image), (column * size, row * size))
    return sheet


def main() -> None:
    """Parses the command line and writes one PNG."""
    parser = argparse.ArgumentParser(prog="python -m luciole.storyworld.manners")
    parser.add_argument("--out", type=Path, default=Path("out/manners.png"))
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--size", type=int, default=128, help="pixels of each picture")
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(args.seed, args.columns, args.size).save(args.out)
    print(args.out)  # noqa: T201


if __name__ == "__main__":
    main()
