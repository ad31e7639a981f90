"""What frozen text encoders say of captions, computed once and kept on disk."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from luciole.data.store import Store, key_of
from luciole.models.text import TextConditions

_TOLD = ("_name_or_path", "transformers_version", "dtype", "torch_dtype")
"""Of a config: what leaves the result alone."""


class CachedConditions(TextConditions):
    """Conditions whose states are looked up; a caption that is new is encoded once, then kept.

    In place of the encoders it was made from, while they are frozen. A caption is filed under its
    token ids and the encoders' hash, so changed words, tokenizers or weights find nothing. It is
    encoded alone and in the encoders' own precision, and what was just encoded is rounded like
    what comes from disk: a result depends on the caption alone. `pack` captions are written at a
    time, fewer once a batch brings nothing new; with `half` in fp16. RuntimeError if the encoders
    are made to learn.
    """

    def __init__(
        self, conditions: TextConditions, folder: str, pack: int = 64, half: bool = True
    ) -> None:
        super().__init__(*conditions.tokenizers, conditions.text_encoder, conditions.text_encoder_2)
        self._pack, self._folder = pack, Path(folder)
        self._dtype = np.dtype(np.float16 if half else np.float32)
        self._weights: tuple[tuple[int, int], ...] = ()
        self._waiting: dict[bytes, NDArray[Any]] = {}
        self.eval().requires_grad_(False)
        self._follow_weights()

    def forward(
        self, captions: Sequence[str]
    ) -> tuple[Float[Tensor, "n t d"], Float[Tensor, "n p"]]:
        """As TextConditions; fp32, without gradients."""
        self._follow_weights()
        device = next(self.parameters()).device
        first, second = self.ids(captions)
        ids = zip(first.numpy(), second.numpy(), strict=True)
        keys = [key_of(*(row.tobytes() for row in pair)) for pair in ids]
        before = len(self._waiting)
        vectors = [self._vector(*pair) for pair in zip(keys, captions, strict=True)]
        if len(self._waiting) >= self._pack or 0 < before == len(self._waiting):
            self._write()
        found = torch.from_numpy(np.stack(vectors).astype(np.float32)).to(device)
        states = found.shape[1] - _config(self.text_encoder_2)["projection_dim"]
        return found[:, :states].reshape(len(found), first.shape[1], -1), found[:, states:]

    def _vector(self, key: bytes, caption: str) -> NDArray[Any]:
        if key in self._slots:
            return self._store.read(self._slots[key])
        if key not in self._waiting:
            self._waiting[key] = self._encoded(caption)
        return self._waiting[key]

    @torch.no_grad()
    def _encoded(self, caption: str) -> NDArray[Any]:
        """States and summary, end to end."""
        device = next(self.parameters()).device
        with torch.autocast(device.type, enabled=False):
            parts = super().forward([caption])
        flat = torch.cat([part.float().flatten() for part in parts])
        return flat.cpu().numpy().astype(self._dtype)

    def _write(self) -> None:
        start = len(self._store)
        self._store.add(list(self._waiting), list(self._waiting.values()))
        self._slots |= {key: start + i for i, key in enumerate(self._waiting)}
        self._waiting = {}

    def _follow_weights(self) -> None:
        """Look again at weights that were touched: a cache of theirs, and of no others."""
        weights = list(self.parameters())
        if any(weight.requires_grad for weight in weights):
            raise RuntimeError(
                "conditions: these text encoders learn, their words cannot be cached"
            )
        touched = tuple((id(weight), weight._version) for weight in weights)
        if touched != self._weights:
            self._weights, self._waiting = touched, {}
            self._store = Store(self._folder / conditions_hash(self), self._dtype)
            keys = self._store.keys.tolist()
            self._slots = {key.ljust(16, b"\0"): slot for slot, key in enumerate(keys)}


def conditions_hash(conditions: TextConditions) -> str:
    """Of both text encoders: weights, names of parts, and what their configs say beside."""
    digest = hashlib.sha256()
    for encoder in (conditions.text_encoder, conditions.text_encoder_2):
        config = {k: v for k, v in _config(encoder).items() if k not in _TOLD}
        digest.update(json.dumps(config, sort_keys=True, default=str).encode())
        for name, weight in encoder.state_dict().items():
            digest.update(name.encode() + weight.float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def _config(encoder: nn.Module) -> dict[str, Any]:
    told: dict[str, Any] = encoder.config.to_dict()  # type: ignore[operator, union-attr]
    return told
