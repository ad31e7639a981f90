"""Puts together what deals with words and styles, for one bundle and one set of choices."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from luciole.bundle import Bundle
from luciole.domain import InvalidRequest
from luciole.tokens import PromptTokenizer
from serving.orchestration.policy import SHIPPED, ContentPolicy, PolicyRules
from serving.orchestration.policy_classifiers import ModerationService
from serving.orchestration.prompts.changes import Expander
from serving.orchestration.prompts.choices import Lists
from serving.orchestration.prompts.engine import PromptEngine
from serving.orchestration.prompts.language_model import LanguageModel
from serving.orchestration.prompts.lexicon import Lexicon
from serving.orchestration.prompts.reading import Reader
from serving.orchestration.prompts.rules import RulePack, read_packs, shipped_packs
from serving.orchestration.prompts.vocabulary import Vocabulary
from serving.orchestration.prompts.words import TaughtWords
from serving.orchestration.styles.catalogue import Catalogue


@dataclass(frozen=True)
class Remote:
    """A server in OpenAI's shape: its address with `/v1`, a model's name, a key."""

    url: str
    model: str
    key: str = ""


@dataclass(frozen=True)
class WordingChoices:
    """Where the operator's own files and helpers are; None for those that there are not."""

    packs: Path | None = None
    wildcards: Path | None = None
    styles: Path | None = None
    policy: Path | None = None
    language_model: Remote | None = None
    moderation: Remote | None = None


@dataclass(frozen=True)
class Wording:
    """What stands between what somebody types and a plan."""

    bundle: Bundle
    engine: PromptEngine
    packs: dict[str, RulePack]
    tokenizer: PromptTokenizer
    policy: ContentPolicy
    catalogue: Catalogue

    @classmethod
    def of(cls, bundle: Bundle, choices: WordingChoices) -> Self:
        """Every file is read now, so that a wrong one stops the start and not a request."""
        vocabulary = Vocabulary.of(bundle)
        packs = shipped_packs() | (read_packs(choices.packs) if choices.packs else {})
        expanders: list[Expander] = [*packs.values()]
        expanders += [TaughtWords(vocabulary)] if vocabulary else []
        if choices.language_model is not None:
            told = choices.language_model
            expanders.append(LanguageModel(told.url, told.model, told.key))
        reader = Reader(Lexicon.shipped(), lists_in(choices.wildcards))
        return cls(
            bundle=bundle,
            engine=PromptEngine(reader, expanders, vocabulary),
            packs=packs,
            tokenizer=PromptTokenizer(bundle),
            policy=policy_of(choices),
            catalogue=Catalogue(bundle, choices.styles),
        )


def policy_of(choices: WordingChoices) -> ContentPolicy:
    """The operator's policy or the shipped one, with a moderation service where there is one."""
    rules = PolicyRules.read(choices.policy or SHIPPED)
    if choices.moderation is None:
        return ContentPolicy(rules)
    told = choices.moderation
    service = ModerationService(told.url, told.model, told.key)
    return ContentPolicy(rules, service, service)


def lists_in(folder: Path | None) -> Lists:
    """`colour.txt` is __colour__ and `hair/short.txt` __hair/short__; a line is a choice.

    Empty lines and those that begin with # are left out. InvalidRequest names an empty file.
    """
    if folder is None:
        return {}
    lists: dict[str, Sequence[str]] = {}
    for file in sorted(folder.rglob("*.txt")):
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
        kept = tuple(line for line in lines if line and not line.startswith("#"))
        if not kept:
            raise InvalidRequest(file.name, "is a list of wildcards without a line")
        lists[file.relative_to(folder).with_suffix("").as_posix()] = kept
    return lists
