"""A byte-pair vocabulary learned from the world's captions, in CLIP's format."""

import json
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import CLIPTokenizer

import luciole.storyworld as storyworld

START, END, SUFFIX, WINDOW = "<|startoftext|>", "<|endoftext|>", "</w>", 77


def world_tokenizer(scenes: int, vocab_size: int) -> Any:
    """Learned from all wordings of the first `scenes` training scenes; the same every time."""
    drawn = (storyworld.sample_scene(seed) for seed in range(scenes))
    wordings = (storyworld.captions(scene, seed) for seed, scene in enumerate(drawn))
    return train_tokenizer(chain.from_iterable(wordings), vocab_size)


def train_tokenizer(captions: Iterable[str], vocab_size: int) -> Any:
    """CLIPTokenizer of at most `vocab_size` tokens.

    As in CLIP, the vocabulary begins with all 256 bytes, inside a word and at its end, so that
    any text at all can be written with it; then come the merges, then the two special tokens.
    """
    alphabet = sorted(ByteLevel.alphabet())
    tokens = [*alphabet, *(letter + SUFFIX for letter in alphabet)]
    merges = _merges(captions, vocab_size - len(tokens) - 2)
    known = set(tokens)
    for pair in merges:
        if "".join(pair) not in known:
            known.add("".join(pair))
            tokens.append("".join(pair))
    vocab = {token: i for i, token in enumerate([*tokens, START, END])}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=WINDOW)  # type: ignore[arg-type]


def _merges(captions: Iterable[str], count: int) -> list[tuple[str, str]]:
    """The `count` most useful pairs, in order; fewer where the captions hold no more."""
    clip = CLIPTokenizer().backend_tokenizer
    learner = Tokenizer(BPE(end_of_word_suffix=SUFFIX))
    learner.normalizer, learner.pre_tokenizer = clip.normalizer, clip.pre_tokenizer
    alphabet = ByteLevel.alphabet()
    trainer = BpeTrainer(
        vocab_size=2 * len(alphabet) + count,
        initial_alphabet=alphabet,
        end_of_word_suffix=SUFFIX,
        show_progress=False,
    )
    learner.train_from_iterator(captions, trainer)
    pairs = json.loads(learner.to_str())["model"]["merges"]
    return [(left, right) for left, right in pairs][:count]


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """`tokenizer.json` for today's readers, `vocab.json` and `merges.txt` for CLIP's first ones."""
    tokenizer.save_pretrained(folder)
    model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False), "utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in model["merges"])]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", "utf-8")
