"""What words say of a person, in the vocabulary that the built-in model was taught."""

import re
from collections.abc import Iterable, Mapping

from luciole.storyworld.attributes import ATTRIBUTES

_DESCRIBED = {
    "hair": ("hair_color", "hair_style"),
    "haired": ("hair_color", "hair_style"),
    "skin": ("skin",),
    "skinned": ("skin",),
    **dict.fromkeys(("t-shirt", "dress", "coat", "hoodie", "overalls"), ("outfit_color",)),
}
"""Nouns, and what the words before them can mean."""
_SAME = {
    "woman": "girl", "lady": "girl", "man": "boy", "guy": "boy", "blond": "blonde",
    "tshirt": "t-shirt", "shirt": "t-shirt", "jacket": "coat", "raincoat": "coat",
    "sweater": "hoodie", "dungarees": "overalls", "spectacles": "glasses", "cap": "hat",
    "violet": "purple", "golden": "blonde", "ginger": "red", "brunette": "brown",
    "pigtails": "twintails", "tanned": "tan", "pale": "light", "fair": "light",
}  # fmt: skip
_ALONE = ("person", "accessory", "outfit")
_STYLES_ALONE = ("ponytail", "bun", "twintails", "curly")
_EMPTY = frozenset(
    {"a", "an", "and", "are", "at", "by", "for", "from", "has", "have", "he", "her", "his", "in",
     "is", "it", "of", "on", "one", "or", "she", "somebody", "someone", "that", "the", "their",
     "they", "this", "to", "wearing", "wears", "who", "whose", "with"}
)  # fmt: skip
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")


def traits(text: str) -> dict[str, str]:
    """Such as {'hair_color': 'red', 'outfit': 'coat', 'outfit_color': 'blue'}; the first counts."""
    found: dict[str, str] = {}
    waiting: list[str] = []
    for word in words(text):
        if word in _DESCRIBED:
            for kind in _DESCRIBED[word]:
                _note(found, kind, waiting)
            waiting = []
        elif word in ("blonde", "redhead"):
            found.setdefault("hair_color", "red" if word == "redhead" else word)
        if word in _STYLES_ALONE:
            found.setdefault("hair_style", word)
        for kind in _ALONE:
            if word in ATTRIBUTES[kind]:
                found.setdefault(kind, word)
        waiting.append(word)
    return found


def words(text: str) -> list[str]:
    """Lower-case words, with those that mean the same made the same."""
    joined = text.lower().replace("t-shirt", "tshirt").replace("t shirt", "tshirt")
    return [_SAME.get(word, word) for word in _WORD.findall(joined)]


def free_words(text: str, known: Mapping[str, str]) -> list[str]:
    """The words that say something beyond the known traits."""
    spoken_for = {*known.values(), *_DESCRIBED, *_EMPTY}
    said = dict.fromkeys(words(text))
    return [word for word in said if word not in spoken_for and len(word) > 1]


def _note(found: dict[str, str], kind: str, before: Iterable[str]) -> None:
    """The last of the words before a noun that can be a value of the kind."""
    values = [word for word in before if word in ATTRIBUTES[kind]]
    if values:
        found.setdefault(kind, values[-1])
