"""Rule packs: what may be added to a prompt, said in YAML."""

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from luciole.domain import LucioleError
from serving.orchestration.prompts.changes import Change
from serving.orchestration.prompts.choices import chance
from serving.orchestration.prompts.tree import Kind, Origin, Prompt, Slot, Weight

PACKS = Path(__file__).with_name("packs")
TRIM = "plain-tags"
"""The id of leaving out small words."""
_NAME = r"^[a-z0-9][a-z0-9-]{0,59}$"


class BadPack(LucioleError):
    """A rule pack that cannot be read; `field` is the file."""

    code = "bad_rule_pack"


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Wordings = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class Rule(BaseModel):
    """Adds one phrase `to` a slot; with `replace`, puts it where one of these words stands.

    `when` and `unless` name words by slot, an empty list any words at all. Of several wordings
    the seed takes one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=_NAME)]
    add: Annotated[Wordings, Field(min_length=1)]
    to: Slot
    replace: Wordings = ()
    when: dict[Slot, Wordings] = {}
    unless: dict[Slot, Wordings] = {}
    unwanted: bool = False
    weight: Weight = 1.0
    why: str = ""

    @model_validator(mode="after")
    def _replaces_what_is_wanted(self) -> Self:
        if self.unwanted and self.replace:
            raise ValueError(f"{self.id}: a rule for the negative prompt only adds")
        return self


class RulePack(BaseModel):
    """Rules in their order; a later one knows what the earlier ones propose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=_NAME)]
    about: str
    order: tuple[Slot, ...] | None = None
    trim: Wordings = ()
    """Words that phrases need not begin with where they are tags."""
    rules: tuple[Rule, ...]

    @classmethod
    def read(cls, file: Path) -> Self:
        """From YAML; BadPack names the file and what is wrong with it."""
        try:
            pack = cls.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
        except (yaml.YAMLError, ValidationError) as error:
            raise BadPack(file.name, str(error)) from error
        twice = [rule.id for rule in pack.rules if [r.id for r in pack.rules].count(rule.id) > 1]
        if twice:
            raise BadPack(file.name, f"has the rule {twice[0]!r} twice")
        return pack

    @cached_property
    def ids(self) -> frozenset[str]:
        """Of everything it may propose."""
        return frozenset(f"{self.name}/{name}" for name in (*(r.id for r in self.rules), TRIM))

    def may_propose(self, change: str) -> bool:
        """Whether a rule has this id; the second change of a rule ends with `-2`."""
        return change in self.ids or re.sub(r"-\d+$", "", change) in self.ids

    def changes(self, prompt: Prompt, seed: int) -> list[Change]:
        """What the rules propose for this prompt."""
        proposal = _Proposal(self, prompt, seed)
        for rule in self.rules:
            proposal.consider(rule)
        proposal.trim()
        return proposal.changes


class _Proposal:
    """What has been proposed so far."""

    def __init__(self, pack: RulePack, prompt: Prompt, seed: int) -> None:
        self._pack, self._prompt, self._seed = pack, prompt, seed
        self.changes: list[Change] = []

    def consider(self, rule: Rule) -> None:
        if not all(self._says(slot, words) for slot, words in rule.when.items()):
            return
        if any(self._says(slot, words) for slot, words in rule.unless.items()):
            return
        name = f"{self._pack.name}/{rule.id}"
        drawn = int(chance(self._seed, name) * len(rule.add))
        change = Change(
            id=name,
            text=rule.add[drawn],
            slot=rule.to,
            unwanted=rule.unwanted,
            weight=rule.weight,
            why=rule.why,
            origin=Origin(kind=Kind.RULE, name=name),
        )
        if rule.replace:
            self._replace(rule, change)
        elif not self._said_already(change):
            self.changes.append(change)

    def trim(self) -> None:
        """Leave out the words with which no tag begins."""
        if not self._pack.trim:
            return
        small = re.compile(
            rf"(?:(?:{'|'.join(map(re.escape, self._pack.trim))})\s+)+", re.IGNORECASE
        )
        name = f"{self._pack.name}/{TRIM}"
        for at, phrase in enumerate(self._prompt.wanted.phrases):
            found = small.match(phrase.text)
            if found is not None and not self._taken(at, 0, found.end()):
                change = Change(
                    id=name,
                    text="",
                    slot=phrase.slot,
                    why="A tag begins with its own word.",
                    origin=Origin(kind=Kind.RULE, name=name),
                )
                self._put(change, at, found)

    def _replace(self, rule: Rule, change: Change) -> None:
        pattern = _pattern(rule.replace)
        for at, phrase in enumerate(self._prompt.wanted.phrases):
            if phrase.slot == rule.to:
                for found in pattern.finditer(phrase.text):
                    if not self._taken(at, found.start(), found.end()):
                        self._put(change, at, found)

    def _put(self, change: Change, phrase: int, found: re.Match[str]) -> None:
        """In place of what was found; the second of a rule gets a number to its id."""
        count = 1 + sum(one.origin.name == change.id for one in self.changes)
        told = {
            "id": change.id if count == 1 else f"{change.id}-{count}",
            "phrase": phrase,
            "start": found.start(),
            "end": found.end(),
            "was": found.group().strip(),
        }
        self.changes.append(change.model_copy(update=told))

    def _taken(self, phrase: int, start: int, end: int) -> bool:
        return any(
            one.phrase == phrase and one.start < end and start < one.end for one in self.changes
        )

    def _says(self, slot: Slot, words: Sequence[str]) -> bool:
        """Whether the prompt, or what is proposed for it, has these words in a slot."""
        texts = [phrase.text for phrase in self._prompt.wanted.of(slot)]
        texts += [c.text for c in self.changes if c.slot == slot and not c.unwanted]
        if not words:
            return bool(texts)
        return any(_pattern(words).search(text) for text in texts)

    def _said_already(self, change: Change) -> bool:
        """Also by who wants what the rule would keep out."""
        pattern = _pattern([change.text])
        texts = [self._prompt.wanted.text]
        texts += [self._prompt.negatives.text] if change.unwanted else []
        texts += [one.text for one in self.changes if one.unwanted == change.unwanted]
        return any(pattern.search(text) for text in texts)


def _pattern(words: Sequence[str]) -> re.Pattern[str]:
    """Any of these as whole words, the longest first."""
    ordered = sorted(words, key=len, reverse=True)
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, ordered))})(?![\w-])", re.IGNORECASE)


def shipped_packs() -> dict[str, RulePack]:
    """Those beside this module, by name."""
    return read_packs(PACKS)


def read_packs(folder: Path) -> dict[str, RulePack]:
    """All `*.yaml` of a folder by their names; BadPack for one that cannot be read."""
    packs = {file: RulePack.read(file) for file in sorted(folder.glob("*.yaml"))}
    return {pack.name: pack for pack in packs.values()}
