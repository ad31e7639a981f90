"""Words for torch: both encoders of a folder, in as many windows as a prompt needs."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

Encoded = tuple[Float[Tensor, "n token hidden"], Float[Tensor, "n pooled"]]


class Words:
    """As `luciole.conditioning` has it: states of all windows in a row, the first one's summary."""

    def __init__(self, parts: Any) -> None:
        self._tokenizers = (parts.tokenizer, parts.tokenizer_2)
        self._encoders = (parts.text_encoder, parts.text_encoder_2)
        self._window = int(parts.text_encoder.config.max_position_embeddings)
        for tokenizer in self._tokenizers:
            tokenizer.backend_tokenizer.no_truncation()
            tokenizer.backend_tokenizer.no_padding()

    def windows(self, prompt: str) -> int:
        """How many hold every token; at least one."""
        return max(1, *(-(-len(ids) // (self._window - 2)) for ids in self._ids(prompt)))

    def __call__(self, prompts: Sequence[str], windows: int) -> Encoded:
        """Of prompts that need no more than so many windows."""
        ids = [self._ids(prompt) for prompt in prompts]
        first, second = (
            encoder(
                torch.cat([self._rows(one[k], tokenizer, windows) for one in ids]),
                output_hidden_states=True,
            )
            for k, (tokenizer, encoder) in enumerate(
                zip(self._tokenizers, self._encoders, strict=True)
            )
        )
        states = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)
        whole = states.reshape(len(prompts), windows * self._window, states.shape[-1])
        return whole, second.text_embeds[::windows]

    def _ids(self, prompt: str) -> list[list[int]]:
        return [
            tokenizer.backend_tokenizer.encode(prompt, add_special_tokens=False).ids
            for tokenizer in self._tokenizers
        ]

    def _rows(self, ids: Sequence[int], tokenizer: Any, windows: int) -> Tensor:
        """BOS, ids, EOS, padding."""
        rows = torch.full((windows, self._window), tokenizer.pad_token_id)
        room = self._window - 2
        for i, row in enumerate(rows):
            told = [tokenizer.bos_token_id, *ids[i * room : (i + 1) * room], tokenizer.eos_token_id]
            row[: len(told)] = torch.tensor(told)
        return rows
