"""`python -m luciole.storyworld`: a contact sheet, so that one can look."""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from luciole.storyworld.attributes import sample_scene
from luciole.storyworld.captions import captions
from luciole.storyworld.render import render


def contact_sheet(
    first_seed: int, columns: int, rows: int, size: int, labels: bool = True
) -> Image.Image:
    """`columns` x `rows` pictures of consecutive seeds, each with the start of its caption."""
    bar = 14 if labels else 0
    sheet = Image.new("RGB", (columns * size, rows * (size + bar)), (250, 250, 250))
    draw = ImageDraw.Draw(sheet)
    for k in range(columns * rows):
        scene = sample_scene(first_seed + k)
        x, y = (k % columns) * size, (k // columns) * (size + bar)
        sheet.paste(Image.fromarray(render(scene, size, size, maps=False).image), (x, y))
        if labels:
            draw.text((x + 2, y + size + 1), captions(scene, 0)[1][: size // 6], fill=(40, 40, 48))
    return sheet


def maps_sheet(seed: int, size: int) -> Image.Image:
    """One scene as picture, nearness, people and keypoints, side by side."""
    picture = render(sample_scene(seed), size, size)
    if picture.depth is None or picture.masks is None:
        raise ValueError("maps: this picture was drawn without them")
    people = picture.masks.any(axis=0)
    parts = [picture.image, np.uint8(picture.depth * 255), np.uint8(people * 255), picture.image]
    sheet = Image.new("RGB", (size * 4, size))
    for i, part in enumerate(parts):
        sheet.paste(Image.fromarray(part), (i * size, 0))
    draw = ImageDraw.Draw(sheet)
    for x, y, seen in picture.keypoints.reshape(-1, 3):
        if seen:
            draw.circle((x + 3 * size, y), 2.5, fill=(255, 0, 160))
    return sheet


def main() -> None:
    """Parses the command line and writes one PNG."""
    parser = argparse.ArgumentParser(prog="python -m luciole.storyworld", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/storyworld.png"))
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--size", type=int, default=128, help="pixels of each picture")
    parser.add_argument("--maps", action="store_true", help="one scene with its ground truth")
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    if args.maps:
        maps_sheet(args.seed, args.size).save(args.out)
    else:
        contact_sheet(args.seed, args.columns, args.rows, args.size).save(args.out)
    print(args.out)  # noqa: T201


if __name__ == "__main__":
    main()
