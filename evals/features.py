"""What sees pictures: a CLIP pair, or any extractor of features that lies on this machine."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from evals.distances import Features
from evals.errors import EvaluationError
from evals.pixels import as_pixels
from evals.sample import Images
from luciole.models.vision import clip_pixels, load_image_encoder

Extractor = Callable[[Images], Features]
BATCH = 32
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def load_extractor(path: str) -> Extractor:
    """A CLIP vision tower (the world's own), another transformers folder (DINO), or TorchScript.

    TorchScript, such as Inception's, is given uint8 [n, 3, h, w]. EvaluationError names a path that
    holds neither.
    """
    place = Path(path)
    if place.suffix in (".pt", ".ts") and place.is_file():
        script = torch.jit.load(str(place)).eval()  # type: ignore[no-untyped-call]
        return _in_batches(lambda pictures: script(_channels_first(pictures)))
    if not (place / "config.json").is_file():
        words = f"neither a folder with config.json nor a TorchScript file is at {path!r}"
        raise EvaluationError("features", words)
    if json.loads((place / "config.json").read_text()).get("model_type") == "clip_vision_model":
        tower = load_image_encoder(path).eval()
        side = int(tower.config.image_size)
        return _in_batches(lambda some: tower(clip_pixels(as_pixels(some, side))).image_embeds)
    return _in_batches(_transformer(place))


def _transformer(place: Path) -> Callable[[Images], Tensor]:
    from transformers import AutoModel

    build: Any = AutoModel
    model = build.from_pretrained(place, dtype=torch.float32).eval()
    told = place / "preprocessor_config.json"
    facts = json.loads(told.read_text()) if told.is_file() else {}
    mean, std = (
        torch.tensor(facts.get(f"image_{name}", usual))[:, None, None]
        for name, usual in zip(("mean", "std"), IMAGENET, strict=True)
    )

    def see(pictures: Images) -> Tensor:
        pixels = (as_pixels(pictures, int(model.config.image_size)) + 1) / 2
        found = model(pixel_values=(pixels - mean) / std)
        pooled = getattr(found, "pooler_output", None)
        features: Tensor = found.last_hidden_state[:, 0] if pooled is None else pooled
        return features

    return see


def _channels_first(pictures: Images) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))


def _in_batches(see: Callable[[Images], Any]) -> Extractor:
    def extract(pictures: Images) -> Features:
        with torch.inference_mode():
            parts = [see(pictures[i : i + BATCH]) for i in range(0, len(pictures), BATCH)]
        found: Features = torch.cat(parts).flatten(1).double().numpy()
        return found

    return extract


@dataclass(frozen=True)
class ClipPair:
    """Both towers of one CLIP, as unit vectors."""

    pictures: Extractor
    words: Callable[[Sequence[str]], Features]

    def scores(self, prompts: Sequence[str], pictures: Images) -> Features:
        """Cosines of each prompt's picture with its words."""
        seen = _units(self.pictures(pictures))
        found: Features = (seen * self.words(prompts)).sum(axis=1)
        return found

    def retrieved(self, prompts: Sequence[str], pictures: Images) -> float:
        """How often a picture's own words are the nearest among all prompts."""
        nearest = (_units(self.pictures(pictures)) @ self.words(prompts).T).argmax(axis=1)
        return float((nearest == np.arange(len(prompts))).mean())


def _units(features: Features) -> Features:
    found: Features = features / np.linalg.norm(features, axis=1, keepdims=True)
    return found


def load_clip(image: str, text: str, tokenizer: str) -> ClipPair:
    """From three folders; a whole CLIP model, as transformers saves it, may be named for all."""
    from transformers import CLIPTextModelWithProjection, CLIPTokenizer

    for name, place in (("image", image), ("text", text), ("tokenizer", tokenizer)):
        if not Path(place).is_dir():
            raise EvaluationError(f"clip.{name}", f"there is no folder {place!r}")
    words: Any = CLIPTokenizer.from_pretrained(tokenizer)
    build: Any = CLIPTextModelWithProjection
    tower = build.from_pretrained(text, dtype=torch.float32).eval()

    def embed(prompts: Sequence[str]) -> Features:
        with torch.inference_mode():
            told = words(list(prompts), padding="max_length", truncation=True, return_tensors="pt")
            found: Features = normalize(tower(told.input_ids).text_embeds, dim=-1).double().numpy()
        return found

    return ClipPair(_clip_tower(image), embed)


def _clip_tower(place: str) -> Extractor:
    """The vision half, wherever it lies."""
    tower = load_image_encoder(place).eval()
    side = int(tower.config.image_size)
    return _in_batches(lambda some: tower(clip_pixels(as_pixels(some, side))).image_embeds)
