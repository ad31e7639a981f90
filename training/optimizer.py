"""Optimizers that need more than torch."""

from collections.abc import Iterable
from typing import Any

from torch.optim import Optimizer


def adamw_8bit(params: Iterable[Any], fused: bool = False, **choices: Any) -> Optimizer:
    """AdamW with moments of 8 bits (arXiv:2110.02861); `fused` is a choice of torch's own.

    Raises ImportError naming what to install.
    """
    try:
        from bitsandbytes.optim import AdamW8bit  # type: ignore[import-not-found]
    except ImportError as error:
        told = "optimizer=adamw_8bit needs bitsandbytes: pip install -e '.[bitsandbytes]'"
        raise ImportError(told) from error
    if fused:
        raise ValueError("task.optimizer.fused: adamw_8bit has no fused kernel; leave it false")
    optimizer: Optimizer = AdamW8bit(params, **choices)
    return optimizer
