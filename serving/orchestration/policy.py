"""The content policy: what words and pictures this service refuses, read from a file."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Protocol, Self

import numpy as np
import yaml
from jaxtyping import UInt8
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from luciole.domain import LucioleError
from serving.orchestration.errors import ImageUnsafe, PromptUnsafe
from serving.orchestration.policy_text import folded, readings

SHIPPED = Path(__file__).with_name("policy.yaml")
Scores = Mapping[str, float]
"""How sure a classifier is of each category, 0 to 1."""
Picture = UInt8[np.ndarray, "height width 3"]


class BadPolicy(LucioleError):
    """A policy that cannot be read; `field` is the file."""

    code = "bad_policy"


class PromptClassifier(Protocol):
    """Judges words; ServiceAway where it cannot."""

    def words(self, text: str) -> Scores:
        """By category; those that the policy does not name are ignored."""
        ...


class PictureClassifier(Protocol):
    """Judges pictures; ServiceAway where it cannot."""

    def picture(self, pixels: Picture) -> Scores:
        """By category; those that the policy does not name are ignored."""
        ...


class Category(BaseModel):
    """One reason to refuse.

    Any of `words` and `lists` is enough, or a word of each list in `together`, or a pattern, in
    which `{name}` stands for a list. Phrases in `unless` do not count. A classifier refuses from
    `threshold` on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: str
    words: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    together: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5


class PolicyRules(BaseModel):
    """A policy file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lists: dict[str, tuple[str, ...]] = {}
    categories: dict[str, Category]
    negative: dict[str, tuple[str, ...]] = {}
    """Words that a negative prompt may not push away, by the category they would lead to."""

    @classmethod
    def read(cls, file: Path) -> Self:
        """From YAML; BadPolicy names the file and what is wrong."""
        try:
            rules = cls.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
            _ = rules.tests
        except OSError as error:
            raise BadPolicy(str(file), f"cannot be read: {error.strerror}") from error
        except (yaml.YAMLError, ValidationError, re.error) as error:
            raise BadPolicy(file.name, str(error)) from error
        return rules

    @model_validator(mode="after")
    def _names_what_it_has(self) -> Self:
        for name, category in self.categories.items():
            for one in (*category.lists, *category.together):
                if one not in self.lists:
                    raise ValueError(f"categories.{name}: there is no list {one!r}")
        for name in self.negative:
            if name not in self.categories:
                raise ValueError(f"negative: there is no category {name!r}")
        return self

    @cached_property
    def tests(self) -> dict[str, "_Test"]:
        """By category."""
        return {name: _Test(category, self.lists) for name, category in self.categories.items()}

    @cached_property
    def any_word(self) -> re.Pattern[str]:
        """Whatever alone or with others is a reason to refuse; patterns are not among it."""
        named = {one for each in self.categories.values() for one in (*each.lists, *each.together)}
        words = [word for each in self.categories.values() for word in each.words]
        return _any_of([*words, *(word for name in named for word in self.lists[name])])


class ContentPolicy:
    """Says no in time: to prompts before anything is drawn, to pictures before they are seen."""

    def __init__(
        self,
        rules: PolicyRules,
        prompts: PromptClassifier | None = None,
        pictures: PictureClassifier | None = None,
    ) -> None:
        self._rules, self._prompts, self._pictures = rules, prompts, pictures
        self._pushed = {name: _any_of(words) for name, words in rules.negative.items()}
        # One request's words are judged before it waits, and again when it is drawn.
        self._listed = lru_cache(maxsize=256)(self._found)

    @property
    def asks(self) -> bool:
        """Whether words are judged by more than lists, which may take its time."""
        return self._prompts is not None

    def check_prompt(self, wanted: str, unwanted: str = "", field: str = "prompt") -> None:
        """PromptUnsafe names the category; lists first, a classifier only of what they let pass."""
        refused = self._listed(wanted, unwanted)
        if refused is not None:
            name, pushed = refused
            about = self._rules.categories[name].about
            raise PromptUnsafe(f"negative_{field}" if pushed else field, name, about)
        if self._prompts is not None:
            self._judge(self._prompts.words(wanted), PromptUnsafe, field)

    def _found(self, wanted: str, unwanted: str) -> tuple[str, bool] | None:
        """The category of the lists, and whether it is the negative prompt that leads to it."""
        forms = readings(wanted)
        # Most words are harmless, which one look at all readings together shows.
        worded = self._rules.any_word.search("\n".join(forms)) is not None
        for name, test in self._rules.tests.items():
            if (worded or test.patterned) and any(map(test, forms)):
                return name, False
        pushed = readings(unwanted) if unwanted else []
        for name, pattern in self._pushed.items():
            if any(map(pattern.search, pushed)):
                return name, True
        return None

    def check_picture(self, pixels: Picture, field: str = "picture") -> None:
        """ImageUnsafe names the category; without a classifier every picture passes."""
        if self._pictures is not None:
            self._judge(self._pictures.picture(pixels), ImageUnsafe, field)

    def _judge(
        self, scores: Scores, refusal: type[PromptUnsafe] | type[ImageUnsafe], field: str
    ) -> None:
        for name, category in self._rules.categories.items():
            if scores.get(name, 0.0) >= category.threshold:
                raise refusal(field, name, category.about)


class _Test:
    """Whether a reading of a text belongs to a category."""

    def __init__(self, category: Category, lists: Mapping[str, Sequence[str]]) -> None:
        words = [*category.words, *(word for name in category.lists for word in lists[name])]
        self._any = [_any_of(words)] if words else []
        self._any += [re.compile(_filled(pattern, lists)) for pattern in category.patterns]
        self._all = [_any_of(lists[name]) for name in category.together]
        self._unless = _any_of(category.unless) if category.unless else None
        self.patterned = bool(category.patterns)

    def __call__(self, text: str) -> bool:
        if self._unless is not None:
            text = self._unless.sub(" ", text)
        for pattern in self._any:
            if pattern.search(text):
                return True
        return bool(self._all) and all(pattern.search(text) for pattern in self._all)


def _filled(pattern: str, lists: Mapping[str, Sequence[str]]) -> str:
    for name, words in lists.items():
        pattern = pattern.replace(f"{{{name}}}", _alternatives(words))
    return pattern


def _any_of(words: Iterable[str]) -> re.Pattern[str]:
    return re.compile(rf"\b{_alternatives(words)}\b")


def _alternatives(words: Iterable[str]) -> str:
    """Spelled as readings are, the longest first."""
    spelled = {re.sub(r"[\W_]+", " ", folded(word)).strip() for word in words}
    return f"(?:{'|'.join(map(re.escape, sorted(spelled, key=len, reverse=True)))})"
