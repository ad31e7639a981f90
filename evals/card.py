"""The model card: what was measured and trained, written so that anybody can check it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CARD = "README.md"
HISTORY = "training.json"


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every weight file, by path inside the folder."""
    weights = sorted(folder.rglob("*.safetensors"))
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in weights
    }


def figures(report: Mapping[str, Any]) -> str:
    """The adherence table in Markdown."""
    lines = ["| words | found | 95 % interval | judge on real renders |", "|---|---|---|---|"]
    model, real = report["model"], report["real_renders"]
    for kind in [*model["by_kind"], "all"]:
        mine = model["overall"] if kind == "all" else model["by_kind"][kind]
        best = real["overall"] if kind == "all" else real["by_kind"][kind]
        lines.append(
            f"| {kind.replace('_', ' ')} | {mine['value']:.1%} | "
            f"{mine['low']:.1%} to {mine['high']:.1%} | {best['value']:.1%} |"
        )
    return "\n".join(lines)


def training_table(history: Mapping[str, Any]) -> str:
    """Steps, samples and hours of each part."""
    lines = [
        "| part | parameters | steps | samples | hours | command |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {part['part']} | {part['parameters']:,} | {part['steps']:,} | {part['samples']:,} | "
        f"{part['hours']:.2f} | `{part['command']}` |"
        for part in history["parts"]
    ]
    return "\n".join(lines)


def notes(history: Mapping[str, Any]) -> str:
    """What the table alone would hide."""
    return "\n".join(f"- {note}" for note in history["notes"])


def card(folder: Path, report: Mapping[str, Any]) -> str:
    """The whole card of a shipped model folder, from its history, its files and a report."""
    history = json.loads((folder / HISTORY).read_text())
    settings = report["settings"]
    hashes = "\n".join(f"{digest}  {name}" for name, digest in file_hashes(folder).items())
    return f"""---
license: apache-2.0
library_name: diffusers
pipeline_tag: text-to-image
---

# pocket

SDXL's architecture in a small size: 128 x 128 pixels, two CLIP text encoders, a UNet with text and
size conditions, an autoencoder with 8 latent channels. It draws the storyworld: cartoon people in
ten places, five kinds of weather and four times of day. It knows nothing else.

**Data.** {history["data"]}

**Limits.** {history["limits"]}

**Licence.** Apache-2.0, weights and pictures alike; no third-party data was used.

## Held-out figures

{settings["prompts"]} prompts for people, and for combinations of place, weather and time, that were
never trained on; {settings["steps"]} steps of {settings["solver"]}, guidance
{settings["guidance_scale"]}, through the exported ONNX bundle. A classifier trained on real renders
alone says which words are to be seen; the last column is its accuracy on the real renders of the
same scenes. `make evals` measures it again.

{figures(report)}

## Training

On {history["machine"]}.

{training_table(history)}

{notes(history)}

## Files

```
{hashes}
```
"""
