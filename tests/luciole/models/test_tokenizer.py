"""The learned vocabulary."""

from pathlib import Path
from typing import Any

import pytest
from transformers import CLIPTokenizer

from luciole.models.tokenizer import save_tokenizer, world_tokenizer
from luciole.storyworld import captions, sample_scene


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return world_tokenizer(scenes=200, vocab_size=900)


def test_it_learns_the_same_vocabulary_every_time(tokenizer: Any) -> None:
    assert world_tokenizer(scenes=200, vocab_size=900).get_vocab() == tokenizer.get_vocab()
    assert len(tokenizer) <= 900


def test_the_worlds_words_are_mostly_single_tokens(tokenizer: Any) -> None:
    text = captions(sample_scene(10**6), 0)[1].replace(",", "")
    assert len(tokenizer.tokenize(text)) <= 1.3 * len(text.split())


@pytest.mark.parametrize("text", ["girl", "größe ☂ 雨の中", "x" * 50, "a\tb\n c", "it's 1girl!?"])
def test_any_text_can_be_written_with_it(tokenizer: Any, text: str) -> None:
    ids = tokenizer(text).input_ids
    assert ids[0] == tokenizer.bos_token_id
    assert ids[-1] == tokenizer.eos_token_id
    assert tokenizer.eos_token_id not in ids[1:-1]
    plain = tokenizer.decode(ids, skip_special_tokens=True).replace(" ", "")
    assert plain == text.lower().replace(" ", "").replace("\t", "").replace("\n", "")


def test_both_file_formats_load_to_the_same_ids(tokenizer: Any, tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    save_tokenizer(tokenizer, new)
    old.mkdir()
    for name in ("vocab.json", "merges.txt"):
        (old / name).write_bytes((new / name).read_bytes())
    text = "1girl, red hair, walking in the rain, größe"
    expected = tokenizer(text).input_ids
    for folder in (new, old):
        assert CLIPTokenizer.from_pretrained(folder)(text).input_ids == expected
