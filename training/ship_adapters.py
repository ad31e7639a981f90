"""`python -m training.ship_adapters identity out/models/pocket_identity`: an adapter, in fp16.

A style (`... style out/styles/ink`) is in fp16 already; its card and preview come along. What it
adds can be made stronger: `--strength 1.5` makes that the style at intensity 1.
The estimator and the judge (`... judge out/models/judge`) go to the evaluations, which measure with
them.
"""

import argparse
import shutil
import tempfile
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from luciole.adapters.control import load_control
from luciole.adapters.identity import IdentityAdapter
from luciole.adapters.lora_file import read_lora, weights_hash
from luciole.models.classifier import AttributeClassifier
from luciole.models.estimator import ConditionEstimator
from luciole.models.folder import load_denoiser
from training.identity import WEIGHTS
from training.ship import ROOT, SHIPPED

CARD, SETTINGS = "README.md", "training.yaml"
STYLE = "pytorch_lora_weights.safetensors"
LIMIT = 6_000_000
"""Bytes that one adapter should weigh at most; the eye of identities is beside them all."""


def ship_identity(trained: Path, denoiser: Any, to: Path) -> int:
    """Of a run's folder, where it fits the denoiser; the bytes of its weights."""
    adapter = IdentityAdapter.load(trained / WEIGHTS, denoiser)

    def write(folder: Path) -> None:
        adapter.save(folder / WEIGHTS, half=True, metadata={})

    return _ship(write, trained, to)


def ship_control(trained: Path, denoiser: Any, to: Path) -> int:
    """Of a run's folder, where it fits the denoiser; the bytes of its weights."""
    return _ship(load_control(str(trained), denoiser).half().save_pretrained, trained, to)


def ship_style(trained: Path, denoiser: Any, to: Path, strength: float = 1.0) -> int:
    """Of a run's folder, where it was trained on this denoiser; the bytes of its weights.

    At intensity 1 the file does what the trained one does at `strength`.
    """
    read_lora(trained / STYLE, {"unet": denoiser}, weights_hash(denoiser))
    with safe_open(trained / STYLE, "pt") as stored:
        said = stored.metadata()
    if strength != 1:
        said["strength"] = str(strength)

    def write(folder: Path) -> None:
        shutil.copy(trained / f"{trained.name}.png", folder)
        save_file(stronger(load_file(trained / STYLE), strength), folder / STYLE, said)

    remark = f"\nIts layers add {strength:g} times what was trained.\n" if strength != 1 else ""
    return _ship(write, trained, to, remark)


def stronger(weights: dict[str, Tensor], strength: float) -> dict[str, Tensor]:
    """What a LoRA adds times `strength`: of each pair the second factor is scaled.

    ValueError for a DoRA, which adds no product.
    """
    if strength != 1 and any("magnitude" in name for name in weights):
        raise ValueError("strength: a DoRA cannot be scaled; leave it 1")
    return {
        name: strength * weight if ".lora_B." in name else weight
        for name, weight in weights.items()
    }


def ship_student(trained: Path, denoiser: Any, to: Path) -> int:
    """Of a run's folder, a LoRA that fits the denoiser; the bytes of its weights."""
    read_lora(trained / STYLE, {"unet": denoiser}, weights_hash(denoiser))
    weights = {name: value.half() for name, value in load_file(trained / STYLE).items()}
    with safe_open(trained / STYLE, "pt") as stored:
        said = stored.metadata()
    return _ship(lambda folder: save_file(weights, folder / STYLE, said), trained, to)


def ship_estimator(trained: Path, denoiser: Any, to: Path) -> int:
    """Of a run's folder; no denoiser is asked. The bytes of its weights."""
    return _ship(ConditionEstimator.load(trained).half().save, trained, to)


def ship_judge(trained: Path, denoiser: Any, to: Path) -> int:
    """Of a run's folder; no denoiser is asked. The bytes of its weights."""
    return _ship(AttributeClassifier.load(trained).half().save, trained, to)


def _ship(write: Any, trained: Path, to: Path, remark: str = "") -> int:
    """Replaces the files of these names in `to`, and the card, which gets the weights' hashes.

    The remark stands before them.

    ValueError, and nothing done, past `LIMIT` bytes of weights.
    """
    card = (trained / CARD).read_text()
    to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        write(Path(place))
        weights = sorted(Path(place).glob("*.safetensors"))
        size = sum(file.stat().st_size for file in weights)
        if size > LIMIT:
            raise ValueError(f"{to.name}: {size:,} bytes of weights are more than {LIMIT:,}")
        for file in Path(place).iterdir():
            shutil.copyfile(file, to / file.name)
    shutil.copyfile(trained / SETTINGS, to / SETTINGS)
    digests = {file.name: sha256((to / file.name).read_bytes()).hexdigest() for file in weights}
    hashes = "\n".join(f"{digest}  {name}" for name, digest in digests.items())
    (to / CARD).write_text(f"{card}{remark}\n## Files\n\n```\n{hashes}\n```\n")
    return size


SHIP = {
    "identity": ship_identity,
    "style": ship_style,
    "student": ship_student,
    "estimator": ship_estimator,
    "judge": ship_judge,
    "looks": ship_judge,
}
PLACES = {
    "identity": SHIPPED.with_name("identity"),
    "pose": SHIPPED.with_name("control_pose"),
    "depth": SHIPPED.with_name("control_depth"),
    "style": SHIPPED.parent / "styles" / "{name}",
    "student": SHIPPED.with_name("student"),
    "estimator": ROOT / "evals" / "weights" / "estimator",
    "judge": ROOT / "evals" / "weights" / "judge",
    "looks": SHIPPED.with_name("looks"),
}
"""Where each kind goes unless told otherwise."""


def main() -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.ship_adapters", description=__doc__)
    parser.add_argument("kind", choices=tuple(PLACES))
    parser.add_argument("trained", type=Path, help="what a run has left")
    parser.add_argument("--base", type=Path, default=SHIPPED)
    parser.add_argument("--strength", type=float, default=1.0, help="of a style at intensity 1")
    parser.add_argument("--to", type=Path, help="beside the base, by its kind")
    args = parser.parse_args()
    to = args.to or Path(str(PLACES[args.kind]).format(name=args.trained.name))
    ship = SHIP.get(args.kind, ship_control)
    if args.kind == "style":
        ship = partial(ship_style, strength=args.strength)
    size = ship(args.trained, load_denoiser(str(args.base)), to)
    print(f"{to}: {size:,} bytes of weights")  # noqa: T201


if __name__ == "__main__":
    main()
