"""What the denoiser is told of each plan: its words, encoded, and its size."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from luciole.cache import Latest
from luciole.domain import RenderPlan
from luciole.engines import Engine
from luciole.engines.bank import Mix, no_style
from luciole.sampling import Row
from luciole.tokens import PromptTokenizer, PromptWindows


@dataclass(frozen=True)
class Words:
    """An encoded text; `pooled` is its first window's."""

    states: Float32[np.ndarray, "token hidden"]
    pooled: Float32[np.ndarray, " pooled"]


@dataclass(frozen=True)
class Conditioning:
    """One plan's words and, where guidance is on, its negative words in as many windows."""

    prompt: Words
    negative: Words | None
    size: tuple[int, int]

    def words(self, row: Row) -> Words:
        """The words that a row of a prediction batch goes with."""
        return self.negative if row.negative and self.negative is not None else self.prompt

    @property
    def time_ids(self) -> tuple[int, int, int, int, int, int]:
        """SDXL's size conditions: original size, no crop, target size (arXiv:2307.01952, 2.2)."""
        return (*self.size, 0, 0, *self.size)


def run_in_batches(
    engine: Engine, graph: str, inputs: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """One run, or several where there are more rows than the bundle's largest batch."""
    limit = engine.bundle.manifest.sizes.max_batch
    rows = len(next(iter(inputs.values())))
    parts = [
        engine.run(graph, {name: value[start : start + limit] for name, value in inputs.items()})
        for start in range(0, rows, limit)
    ]
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@dataclass(frozen=True)
class Text:
    """A text in so many windows, as the styles that change words make it understood."""

    text: str
    windows: int
    styles: tuple[tuple[str, float], ...]
    emphasis: tuple[tuple[int, int, float], ...] = ()

    @property
    def plain(self) -> "Text":
        """With nothing louder than the rest."""
        return replace(self, emphasis=())

    @property
    def silence(self) -> "Text":
        """As much of nothing."""
        return replace(self, text="", emphasis=())


class Conditioner:
    """Encodes the words of plans. How many windows a plan gets depends on that plan alone.

    Of the latest `cached` texts the encodings are kept: negatives and variations come again.
    """

    def __init__(self, engine: Engine, cached: int = 256) -> None:
        self._engine = engine
        self._cache: Latest[Text, Words] = Latest(cached)
        self._tokenizer = PromptTokenizer(engine.bundle)
        self._manifest = engine.bundle.manifest

    def over(self, engine: Engine) -> Self:
        """The same tokenizers and cache over another view of the engine."""
        other = copy(self)
        other._engine = engine
        return other

    def __call__(
        self, plans: Sequence[RenderPlan], mixes: Sequence[Mix | None]
    ) -> list[Conditioning]:
        """One conditioning per plan; each different text is encoded once."""
        wanted = [self._texts(*pair) for pair in zip(plans, mixes, strict=True)]
        by_styles = {
            text.styles: mix for texts, mix in zip(wanted, mixes, strict=True) for text in texts
        }
        encoded = self._encode(
            list(dict.fromkeys(text for texts in wanted for text in texts)), by_styles
        )
        return [
            Conditioning(
                encoded[prompt],
                self._negative(encoded[negative[0]], plan) if negative else None,
                (plan.height, plan.width),
            )
            for plan, (prompt, *negative) in zip(plans, wanted, strict=True)
        ]

    def _texts(self, plan: RenderPlan, mix: Mix | None) -> list[Text]:
        """The prompt and, where guidance is on, the negative prompt, with their windows."""
        texts = [plan.prompt] if plan.guidance_scale == 1 else [plan.prompt, plan.negative_prompt]
        windows = max(self._tokenizer.windows_needed(text) for text in texts)
        heard = () if mix is None else mix.heard
        return [
            Text(text, windows, heard, _emphasis(plan, negative=bool(side)))
            for side, text in enumerate(texts)
        ]

    def _negative(self, words: Words, plan: RenderPlan) -> Words:
        """Zeros for an empty negative prompt where the model was trained so (SDXL's was)."""
        if self._manifest.prompt.zeros_for_empty_negative and not plan.negative_prompt:
            return Words(np.zeros_like(words.states), np.zeros_like(words.pooled))
        return words

    def _encode(
        self, texts: list[Text], by_styles: Mapping[tuple[tuple[str, float], ...], Mix | None]
    ) -> dict[Text, Words]:
        known = {text: kept for text in texts if (kept := self._cache.get(text)) is not None}
        unknown = [text for text in texts if text not in known and not text.emphasis]
        fresh = self._encode_now(unknown, by_styles) if unknown else {}
        known |= fresh
        if emphasised := [text for text in texts if text not in known]:
            beside = [one for text in emphasised for one in (text.plain, text.silence)]
            parts = self._encode(list(dict.fromkeys(beside)), by_styles)
            fresh |= {text: self._louder(text, parts) for text in emphasised}
        self._cache.keep(fresh)
        return known | fresh

    def _louder(self, text: Text, parts: Mapping[Text, Words]) -> Words:
        """Each token's states at its weight on the line from silence through what was said."""
        said, silence = parts[text.plain], parts[text.silence]
        loud = self._tokenizer.loudness(text.text, text.windows, text.emphasis)[:, None]
        return Words(said.states + (loud - 1) * (said.states - silence.states), said.pooled)

    def _encode_now(
        self, texts: list[Text], by_styles: Mapping[tuple[tuple[str, float], ...], Mix | None]
    ) -> dict[Text, Words]:
        windows = [self._tokenizer.windows(text.text, text.windows) for text in texts]
        counts = [len(window) for window in windows]
        inputs = _joined(windows)
        bank = self._manifest.graphs["text_encoder"].bank
        if bank is not None:
            mixes = [(by_styles[t.styles] if t.styles else None) or no_style(bank) for t in texts]
            inputs["style_slot"] = np.repeat([mix.slots for mix in mixes], counts, axis=0)
            inputs["style_weight"] = np.repeat([mix.weights for mix in mixes], counts, axis=0)
        outputs = run_in_batches(self._engine, "text_encoder", inputs)
        ends = np.cumsum(counts)
        return {
            text: Words(np.concatenate(states), pooled[0])
            for text, states, pooled in zip(
                texts,
                np.split(outputs["text_states"], ends[:-1]),
                np.split(outputs["pooled"], ends[:-1]),
                strict=True,
            )
        }


def _emphasis(plan: RenderPlan, negative: bool) -> tuple[tuple[int, int, float], ...]:
    of_side = [one for one in plan.emphasis if one.negative == negative and one.weight != 1]
    return tuple((one.start, one.end, one.weight) for one in of_side)


def _joined(windows: Sequence[PromptWindows]) -> dict[str, NDArray[Any]]:
    return {
        "input_ids": np.concatenate([window.first for window in windows]),
        "input_ids_2": np.concatenate([window.second for window in windows]),
    }
