"""Weights, gradients and optimizer states shared out between processes (FSDP, arXiv:2304.11277)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch.strategies import ModelParallelStrategy
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from luciole.diffusion.sharded import whole

BLOCKS = {"BasicTransformerBlock", "ResnetBlock2D", "CLIPEncoderLayer"}
"""What is gathered at a time, by the names of diffusers' and transformers' classes."""


class SharedWeights(ModelParallelStrategy):
    """FSDP2 by Lightning, which goes on from our own checkpoints: more than tensors is in them."""

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> Any:
        """Lightning forgets what `fit` was told about the file when the model is sharded."""
        return super().load_checkpoint(checkpoint_path, weights_only=False)


def shard(task: nn.Module, mesh: DeviceMesh) -> None:
    """Share out each part of the task that learns, block by block; frozen parts stay whole."""
    for part in task.children():
        if not any(weight.requires_grad for weight in part.parameters()):
            continue
        for module in reversed(list(part.modules())):
            if type(module).__name__ in BLOCKS:
                fully_shard(module, mesh=mesh)
        fully_shard(part, mesh=mesh)


@contextmanager
def gathered(task: nn.Module) -> Iterator[None]:
    """Every weight is whole in this block, and each module of its own class, as files want them.

    All processes enter together. Nothing can be computed in it.
    """
    sharded = [module for module in task.modules() if isinstance(module, FSDPModule)]
    classes = [type(module) for module in sharded]
    weights = [
        (module, name, weight)
        for module in task.modules()
        for name, weight in module.named_parameters(recurse=False)
    ]
    try:
        for module, name, weight in weights if sharded else ():
            full = whole(weight.detach())
            module._parameters[name] = nn.Parameter(full, weight.requires_grad)
        for module in sharded:
            _become(module, type(module).__mro__[2])
        yield
    finally:
        for module, kind in zip(sharded, classes, strict=True):
            _become(module, kind)
        for module, name, weight in weights:
            module._parameters[name] = weight


def _become(module: nn.Module, kind: Any) -> None:
    """`fully_shard` puts a class of its own before a module's."""
    module.__class__ = kind
