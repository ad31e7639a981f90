"""Prompts to token ids: windows that together hold every word."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64
from tokenizers import Tokenizer

from luciole.bundle import Bundle, TextEncoding
from luciole.domain import BundleError, InvalidRequest


@dataclass(frozen=True)
class PromptWindows:
    """One prompt's ids for both encoders, in the same number of windows."""

    first: Int64[np.ndarray, "window token"]
    second: Int64[np.ndarray, "window token"]

    def __len__(self) -> int:
        return len(self.first)


class PromptTokenizer:
    """The bundle's two tokenizers. A prompt longer than a window goes on in the next one."""

    def __init__(self, bundle: Bundle) -> None:
        settings = bundle.manifest.prompt
        self._window = settings.window
        self._encodings = settings.tokenizers
        self._tokenizers = [_load(bundle, encoding) for encoding in settings.tokenizers]

    def windows_needed(self, prompt: str) -> int:
        """How many windows hold every token of the prompt; at least one."""
        room = self._window - 2
        return max(1, *(-(-len(ids) // room) for ids in self._ids(prompt)))

    @property
    def room(self) -> int:
        """Tokens of a prompt that one window holds."""
        return self._window - 2

    def places(self, prompt: str) -> list[list[int]]:
        """For each encoder: the letter of the prompt at which each of its tokens begins."""
        return [
            [start for start, _ in tokenizer.encode(prompt, add_special_tokens=False).offsets]
            for tokenizer in self._tokenizers
        ]

    def loudness(
        self, prompt: str, count: int, emphasis: Sequence[tuple[int, int, float]]
    ) -> Float32[np.ndarray, " token"]:
        """The weight of every place of `count` windows, 1 where nothing is said of it.

        A token is as loud as the letter at which it begins. InvalidRequest where the encoders cut
        the prompt into different tokens.
        """
        places, others = self.places(prompt)
        if places != others:
            raise InvalidRequest("emphasis", "the encoders of this model cut words differently")
        loud = np.ones(count * self._window, np.float32)
        for token, letter in enumerate(places):
            window, place = divmod(token, self.room)
            for start, end, weight in emphasis:
                if start <= letter < end:
                    loud[window * self._window + 1 + place] *= np.float32(weight)
        return loud

    def windows(self, prompt: str, count: int | None = None) -> PromptWindows:
        """The prompt's ids, padded with empty windows up to `count`; nothing is ever cut."""
        needed = self.windows_needed(prompt)
        count = max(needed, count or needed)
        first, second = (
            _fill(ids, encoding, self._window, count)
            for ids, encoding in zip(self._ids(prompt), self._encodings, strict=True)
        )
        return PromptWindows(first, second)

    def _ids(self, prompt: str) -> list[list[int]]:
        return [
            tokenizer.encode(prompt, add_special_tokens=False).ids for tokenizer in self._tokenizers
        ]


def _load(bundle: Bundle, encoding: TextEncoding) -> Tokenizer:
    name = f"{encoding.folder}/tokenizer.json"
    text = bundle.file(name).read_text(encoding="utf-8")
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # tokenizers raises nothing narrower
        raise BundleError(name, f"is not a tokenizer: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _fill(
    ids: Sequence[int], encoding: TextEncoding, window: int, count: int
) -> Int64[np.ndarray, "window token"]:
    """Rows of BOS, ids, EOS, padding."""
    rows = np.full((count, window), encoding.pad, dtype=np.int64)
    room = window - 2
    for i, row in enumerate(rows):
        part = ids[i * room : (i + 1) * room]
        row[: len(part) + 2] = [encoding.bos, *part, encoding.eos]
    return rows
