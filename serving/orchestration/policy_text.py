"""The same words through all the ways in which people hide them."""

import re
import unicodedata
from collections.abc import Iterator

_LOOKALIKES = str.maketrans("абвгеікмнопрстухзѕјαβεικνορτυχ", "abbreikmhonpctyx3sjabeiknoptux")
_DIGITS = str.maketrans("@$0134579!|€", "asoieastgiie")
_INVISIBLE = {
    code: None for code in range(128) if not (chr(code).isprintable() or chr(code).isspace())
}
_WEIGHT = re.compile(r":\s*[\d.]+\s*(?=[)\]])|(?<=\))[\d.]+|<lora:[^>]*>")
_BRACKETS = re.compile(r"[()\[\]{}\\*~`^|_+]|(?<=\w)-+(?=\W|$)")
_NOT_WORDS = re.compile(r"[\W_]+")
_SPACED = re.compile(r"\b\w(?: \w)+\b")
_LONG = re.compile(r"(.)\1{2,}")


def readings(text: str) -> list[str]:
    """Lower-case words with single spaces: as written, without brackets, with digits as letters.

    Each also with single letters drawn together and with long repetitions cut to one letter.
    """
    plain = folded(text)
    bare = _BRACKETS.sub("", _WEIGHT.sub("", plain))
    forms = [form for written in dict.fromkeys((plain, bare)) for form in _spellings(written)]
    return list(dict.fromkeys(forms))


def _spellings(text: str) -> Iterator[str]:
    for spelled in dict.fromkeys((text, text.translate(_DIGITS))):
        words = _NOT_WORDS.sub(" ", spelled).strip()
        yield words
        if _SPACED.search(words):
            yield _SPACED.sub(lambda found: found.group().replace(" ", ""), words)
        if _LONG.search(words):
            yield _LONG.sub(r"\1", words)


def folded(text: str) -> str:
    """Lower case, without accents, invisible characters and letters that only look like ours."""
    if text.isascii():
        return text.lower().translate(_INVISIBLE)
    wide = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    kept = (c for c in wide if unicodedata.category(c) not in {"Mn", "Cf", "Cc"} or c.isspace())
    return "".join(kept).translate(_LOOKALIKES)
