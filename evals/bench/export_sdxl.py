"""`make bench-export-sdxl`: what it takes to export SDXL's real size, weights left out.

The folder is SDXL's by its configuration (conf/model/sdxl.yaml). Its safetensors files are as long
as the real ones in fp16, and empty: holes that take no disk. The export reads them like any weights
and writes ONNX in fp32, 13 GiB that are removed afterwards.
"""

import argparse
import json
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import init_empty_weights
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn

from evals.bench.result import Figure, write
from luciole.shipped import shipped_model

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "conf" / "model" / "sdxl.yaml"
COPIED = ("model_index.json", "scheduler", "tokenizer", "tokenizer_2")
"""From pocket: what of a folder is not the model."""
MOST_GIB = 8.0
KIB_IN_GIB = 2**20


@dataclass(frozen=True)
class Vocabulary:
    """As long as CLIP's."""

    bos_token_id: int = 49406
    eos_token_id: int = 49407
    pad_token_id: int = 49407

    def __len__(self) -> int:
        return 49408


def parts() -> Iterator[tuple[str, str, Any]]:
    """Folder, name of the weights' file, and the module without weights."""
    config: Any = OmegaConf.load(CONFIG)
    with init_empty_weights(include_buffers=False):
        yield "unet", "diffusion_pytorch_model", instantiate(config.denoiser)
        yield "vae", "diffusion_pytorch_model", instantiate(config.autoencoder)
        for name in ("text_encoder", "text_encoder_2"):
            yield name, "model", instantiate(config[name])(Vocabulary())


def write_folder(folder: Path) -> int:
    """A diffusers folder of SDXL's size; the number of its parameters."""
    source, count = shipped_model(), 0
    for name in COPIED:
        copy: Any = shutil.copytree if (source / name).is_dir() else shutil.copyfile
        copy(source / name, folder / name)
    for name, file, module in parts():
        (folder / name).mkdir()
        save = getattr(module, "save_config", None) or module.config.save_pretrained
        save(folder / name)
        count += write_holes(module, folder / name / f"{file}.safetensors")
    return count


def write_holes(module: nn.Module, file: Path) -> int:
    """A safetensors file in fp16 with its header and no data; the number of parameters."""
    header, at = {}, 0
    for name, weight in module.state_dict().items():
        until = at + 2 * weight.numel()
        shape = list(weight.shape)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [at, until]}
        at = until
    text = json.dumps(header).encode()
    with file.open("wb") as opened:
        opened.write(struct.pack("<Q", len(text)) + text)
        opened.truncate(8 + len(text) + at)
    return at // 2


def export(folder: Path, out: Path) -> float:
    """Seconds of `python -m export` in a process of its own."""
    began = time.monotonic()
    arguments = [f"folder={folder}", f"out={out}", "stream=true", "anchors=false"]
    subprocess.run([sys.executable, "-m", "export", *arguments], cwd=ROOT, check=True)  # noqa: S603
    return time.monotonic() - began


def main() -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--place", type=Path, help="for 14 GB; by default with temporary files")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.place) as place:
        folder, out = Path(place) / "sdxl", Path(place) / "bundle"
        folder.mkdir()
        parameters = write_folder(folder)
        seconds = export(folder, out)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / KIB_IN_GIB
        size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file()) / 2**30
    sdxl = "SDXL's configuration, weights left out"
    figures = [
        Figure("peak memory", peak, peak, peak, "GiB", MOST_GIB, "lower", sdxl),
        Figure("time", seconds, seconds, seconds, "s", None, "lower", sdxl),
        Figure("size in fp32", size, size, size, "GiB", None, "lower", sdxl),
    ]
    note = f"{parameters:,} parameters; every graph passes ONNX's checker; one run"
    libraries = ("torch", "diffusers", "transformers", "onnx", "onnxscript")
    print(write("export_sdxl", figures, libraries, note))  # noqa: T201


if __name__ == "__main__":
    main()
