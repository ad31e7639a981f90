"""An identity adapter and control nets on a folder's denoiser."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evals.checkpoint import Checkpoint, Part
from evals.errors import EvaluationError
from evals.pixels import as_pixels
from evals.sample import Image, Sample
from luciole.adapters.control import Controlled, load_control
from luciole.adapters.identity import IdentityAdapter
from luciole.bundle import folder_hash, sha256
from luciole.models.vision import clip_pixels, load_image_encoder
from luciole.sampling import Row

FILE = "ip_adapter.safetensors"
CONTROLS = ("pose", "depth")
IDENTITY = "identity"


@dataclass(frozen=True)
class Guided:
    """What samples of one call are guided by; `seen` and `unseen` are rows for the adapter."""

    drawings: Mapping[str, Tensor]
    seen: Tensor | None
    unseen: Tensor | None


class Attached:
    """What looks at pictures; a sample without the picture it needs goes without it."""

    def __init__(self, checkpoint: Checkpoint, denoiser: Any) -> None:
        self._name, self._denoiser = checkpoint.name, denoiser
        self._hashes: dict[str, str] = {}
        self._parts: dict[str, Part] = {}
        for kind in (*CONTROLS, IDENTITY):
            parts = checkpoint.of(kind)
            if len(parts) > 1:
                raise EvaluationError(self._name, f"{kind}: named {len(parts)} times")
            self._parts.update((part.kind, part) for part in parts)
        try:
            self._controls = {k: self._control(p) for k, p in self._parts.items() if k in CONTROLS}
            self._identity, self._eye = self._read_identity()
        except (OSError, ValueError) as error:
            raise EvaluationError(self._name, str(error)) from error

    def _control(self, part: Part) -> Any:
        self._hashes[part.kind] = folder_hash(Path(part.what))
        return load_control(part.what, self._denoiser).eval()

    def _read_identity(self) -> tuple[IdentityAdapter | None, Any]:
        """The adapter, and the eye that lies in its folder or beside it."""
        if IDENTITY not in self._parts:
            return None, None
        place = Path(self._parts[IDENTITY].what)
        file = place if place.is_file() else place / FILE
        self._hashes[IDENTITY] = sha256(file)
        eyes = [file.parent / "image_encoder", file.parent.parent / "image_encoder"]
        adapter = IdentityAdapter.load(file, self._denoiser).eval()
        eye = load_image_encoder(str(next((one for one in eyes if one.is_dir()), eyes[0])))
        adapter.attach(self._denoiser)
        return adapter, eye.eval()

    def guides(self, sample: Sample) -> dict[str, Image]:
        """The pictures of a sample that this checkpoint looks at."""
        found = {kind: p for kind, p in sample.controls.items() if kind in self._controls}
        if len(found) > 1:
            words = f"{sample.prompt!r} has several controls; torch takes one at a time here"
            raise EvaluationError(self._name, words)
        if self._identity is not None and sample.reference is not None:
            found[IDENTITY] = sample.reference
        return found

    def recipe(self, sample: Sample) -> dict[str, list[Any]]:
        """Hash and weight of what is used."""
        return {
            kind: [self._hashes[kind], self._parts[kind].weight] for kind in self.guides(sample)
        }

    def guided(self, samples: Sequence[Sample]) -> Guided:
        """Sets the adapter for samples with the same kinds of guides, and looks at the pictures."""
        guides = [self.guides(sample) for sample in samples]
        kinds = guides[0].keys()
        drawings = {
            kind: (as_pixels([one[kind] for one in guides]) + 1) / 2
            for kind in kinds & self._controls.keys()
        }
        if self._identity is None:
            return Guided(drawings, None, None)
        shown = IDENTITY in kinds
        self._identity.set_scale(self._parts[IDENTITY].weight if shown else 0.0)
        side = int(self._eye.config.image_size)
        pixels = torch.zeros(len(samples), 3, side, side)
        if shown:
            pixels = as_pixels([one[IDENTITY] for one in guides], side)
        seen, unseen = (
            self._identity.look(self._eye, clip_pixels(pixels), torch.full((len(samples),), yes))
            for yes in (shown, False)
        )
        return Guided(drawings, seen, unseen)

    def predict(
        self,
        latents: Tensor,
        timesteps: Tensor,
        states: Tensor,
        added: Mapping[str, Any],
        rows: Sequence[Row],
        guided: Guided,
    ) -> Tensor:
        """The denoiser's answer. Rows without words see no reference, as in diffusers."""
        more: dict[str, Any] = dict(added)
        if guided.seen is not None and guided.unseen is not None:
            looks = [(guided.unseen if row.negative else guided.seen)[row.sample] for row in rows]
            more["image_embeds"] = [torch.stack(looks)]
        denoiser: Any = self._denoiser
        for kind, drawings in guided.drawings.items():
            told = drawings[[row.sample for row in rows]]
            weight = self._parts[kind].weight
            denoiser = Controlled(denoiser, self._controls[kind], told, weight)
        answer: Tensor = denoiser(latents, timesteps, states, added_cond_kwargs=more).sample
        return answer
