"""How many windows of a text encoder a prompt fills, and which words begin each of them."""

from typing import Self

from pydantic import BaseModel, ConfigDict

from luciole.tokens import PromptTokenizer


class Windows(BaseModel):
    """What the encoders make of a prompt; nothing is cut, what is over goes to the next window."""

    model_config = ConfigDict(frozen=True)

    tokens: int
    """Of the encoder that needs more."""
    room: int
    """Tokens that one window holds."""
    count: int
    begin: tuple[int, ...]
    """Offsets of the letters at which the second and every later window begins."""

    @classmethod
    def of(cls, text: str, tokenizer: PromptTokenizer) -> Self:
        """Of plain words, without weights."""
        places = max(tokenizer.places(text), key=len)
        return cls(
            tokens=len(places),
            room=tokenizer.room,
            count=tokenizer.windows_needed(text),
            begin=tuple(places[tokenizer.room :: tokenizer.room]),
        )
