"""Tensors of which each process holds a part, and the whole ones that files are made of."""

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor; one that is sharded is gathered, which every process has to ask for."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


@torch.no_grad()
def put(place: Tensor, value: Tensor) -> None:
    """Copy a whole value into a tensor, each process into its own part where it is sharded."""
    if isinstance(place, DTensor):
        value = value.to(place.device, place.dtype)
        value = distribute_tensor(value, place.device_mesh, place.placements)
    place.copy_(value)
