"""`python -m evals.storyboards`: do links between frames keep the characters?

It reads what `python -m serving storyboard` wrote: folders with links, and the same storyboards
with `--alone`, pair by pair. A character is kept as well as its frames agree: for every two of
them the log-probability that all its looks are the same, as the judge sees them in its part of
the picture.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console

from evals.judge import load_classifier
from evals.likeness import chances, same_character
from evals.sample import Images
from evals.statistics import Scores, flipped, interval
from luciole.models.classifier import AttributeClassifier

RESULT = Path(__file__).parent / "results" / "storyboards.json"
SIDE = 128


def people(folder: Path) -> dict[str, Images]:
    """Every character's part of the frames that it is in, in their order."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    found: dict[str, list[Image.Image]] = defaultdict(list)
    for frame in manifest["frames"]:
        with Image.open(folder / frame["file"]) as opened:
            picture = opened.convert("RGB")
        for name, (left, right) in frame["columns"].items():
            found[name].append(squared(picture.crop((left, 0, right, picture.height))))
    return {name: np.stack([np.array(part) for part in parts]) for name, parts in found.items()}


def squared(part: Image.Image) -> Image.Image:
    """Fit into a square of its own mean colour, as the judge sees people from head to foot."""
    scale = SIDE / max(part.size)
    small = part.resize([round(side * scale) for side in part.size], Image.Resampling.LANCZOS)
    colour = tuple(np.array(small).mean((0, 1)).astype(int).tolist())
    image = Image.new("RGB", (SIDE, SIDE), colour)
    image.paste(small, ((SIDE - small.width) // 2, (SIDE - small.height) // 2))
    return image


def kept(classifier: AttributeClassifier, pictures: Images) -> float:
    """The mean over all pairs of frames; 0 at best."""
    seen = chances(classifier, pictures)
    alike = same_character(seen, seen)
    return float(np.mean([alike[a, b] for a, b in combinations(range(len(pictures)), 2)]))


def compare(
    classifier: AttributeClassifier, linked: Sequence[Path], alone: Sequence[Path]
) -> dict[str, Any]:
    """One pair of scores for each character of each pair of folders."""
    scores = [
        (kept(classifier, with_links[name]), kept(classifier, without[name]))
        for one, other in zip(linked, alone, strict=True)
        for with_links, without in [(people(one), people(other))]
        for name in with_links
        if len(with_links[name]) > 1
    ]
    pairs: Scores = np.array(scores)
    differences = pairs[:, 0] - pairs[:, 1]
    low, high = interval(differences[None])
    above, _ = flipped(differences[None])
    return {
        "characters": len(pairs),
        "linked": round(float(pairs[:, 0].mean()), 4),
        "alone": round(float(pairs[:, 1].mean()), 4),
        "difference": round(float(differences.mean()), 4),
        "low": round(float(low[0]), 4),
        "high": round(float(high[0]), 4),
        "p": round(float(above[0]), 5),
    }


def show(found: Mapping[str, Any], console: Console) -> None:
    """One line for the terminal."""
    console.print(
        f"{found['characters']} characters: agreement {found['linked']:.3f} with links, "
        f"{found['alone']:.3f} without; difference {found['difference']:+.3f} "
        f"({found['low']:+.3f} to {found['high']:+.3f}, p = {found['p']:.4f})",
        highlight=False,
    )


def main() -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--linked", type=Path, nargs="+", required=True)
    parser.add_argument("--alone", type=Path, nargs="+", required=True)
    parser.add_argument("--judge", type=Path, default=Path("evals/weights/judge"))
    parser.add_argument("--note", default="", help="kept with the result")
    args = parser.parse_args()
    found = compare(load_classifier(args.judge), args.linked, args.alone)
    show(found, Console())
    RESULT.write_text(json.dumps({"note": args.note, **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
