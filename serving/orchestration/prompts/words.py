"""Expanders that know the base and its styles: taught words for others, and trigger words."""

from collections.abc import Mapping, Sequence

from serving.orchestration.prompts.changes import Change
from serving.orchestration.prompts.tree import Kind, Origin, Prompt, Slot
from serving.orchestration.prompts.vocabulary import Untaught, Vocabulary


class TaughtWords:
    """Proposes what the base knows in place of what it was never taught."""

    name = "taught"
    order: tuple[Slot, ...] | None = None

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def may_propose(self, change: str) -> bool:
        """Any word may turn out to be unknown."""
        return change.startswith(f"{self.name}/")

    def changes(self, prompt: Prompt, seed: int) -> list[Change]:
        """One for each word that has a neighbour."""
        del seed
        found = self._vocabulary.untaught(prompt)
        return [
            self._change(one, one.nearest, prompt)
            for one in found
            if one.nearest is not None and not one.unwanted
        ]

    def _change(self, one: Untaught, nearest: str, prompt: Prompt) -> Change:
        name = f"{self.name}/{one.text.casefold().replace(' ', '-')}"
        return Change(
            id=name,
            text=nearest,
            slot=prompt.wanted.phrases[one.phrase].slot,
            why=f"The base was never taught {one.text!r}.",
            origin=Origin(kind=Kind.RULE, name=name),
            phrase=one.phrase,
            start=one.at,
            end=one.at + len(one.text),
            was=one.text,
        )


class Triggers:
    """Adds the words that styles were trained with, unless they are there."""

    name = "trigger"
    order: tuple[Slot, ...] | None = None

    def __init__(self, triggers: Mapping[str, Sequence[str]]) -> None:
        self._triggers = triggers

    def may_propose(self, change: str) -> bool:
        """Its ids are `trigger/<style>`."""
        return change.removeprefix(f"{self.name}/") in self._triggers

    def changes(self, prompt: Prompt, seed: int) -> list[Change]:
        """One for each style whose words are missing."""
        del seed
        said = prompt.wanted.text.casefold()
        changes = []
        for style, words in self._triggers.items():
            missing = [word for word in words if word.casefold() not in said]
            if missing:
                name = f"{self.name}/{style}"
                changes.append(
                    Change(
                        id=name,
                        text=", ".join(missing),
                        slot=Slot.STYLE,
                        why=f"The style {style!r} was trained with these words.",
                        origin=Origin(kind=Kind.RULE, name=name),
                    )
                )
        return changes
