"""Which arithmetic this machine is good at."""

from pathlib import Path

import torch


def best_precision() -> str:
    """Lightning's name for bf16 autocast where the hardware multiplies bf16, else for fp32."""
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    return "bf16-mixed" if {"avx512_bf16", "amx_bf16"} & cpu_flags() else "32-true"


def cpu_flags() -> set[str]:
    """What Linux says the processor can do; empty elsewhere."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return set()
    lines = [line for line in info.read_text().splitlines() if line.startswith("flags")]
    return set(lines[0].split()) if lines else set()
