"""`/v1/prompts`: what a prompt says, what could be added to it, and what the base cannot know."""

from typing import Annotated, Self

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import HTTPConnection

from luciole.domain import Emphasis, InvalidRequest, StyleUse
from luciole.domain.request import Seed, Words
from serving.gateway.auth.needs import Drawer, Reader
from serving.gateway.parts import parts_of
from serving.gateway.refusals import Conflict
from serving.orchestration.prompts.changes import Expander
from serving.orchestration.prompts.engine import Proposal
from serving.orchestration.prompts.reading import Syntax, Template, emphasis, write
from serving.orchestration.prompts.tree import Prompt, Slot
from serving.orchestration.prompts.vocabulary import Untaught
from serving.orchestration.prompts.windows import Windows
from serving.orchestration.prompts.words import Triggers
from serving.orchestration.wording import Wording

Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]
MOST_STYLE = 2.0
"""As loud as a style can be in a plan."""
router = APIRouter(prefix="/v1/prompts", tags=["prompts"])


async def wording_of(connection: HTTPConnection) -> Wording:
    """That of the app that answers; Conflict where none was wired."""
    wording = (await parts_of(connection)).drawing.wording
    if wording is None:
        raise Conflict("model", "nothing here deals with prompts and styles")
    return wording


Worded = Annotated[Wording, Depends(wording_of)]


class PromptForm(BaseModel):
    """What was typed; `seed` decides what wildcards become."""

    model_config = ConfigDict(extra="forbid")

    prompt: Words
    negative_prompt: Words = ""
    syntax: Syntax = Syntax.AUTO
    seed: Seed = 0
    template: Words | None = None
    """A text with {prompt} in it."""

    def read(self, wording: Wording) -> Prompt:
        """The tree, which the content policy has seen whole."""
        template = None if self.template is None else Template("template", self.template)
        asked = (self.prompt, self.negative_prompt, self.syntax, self.seed, template)
        prompt = wording.engine.reader.read(*asked)
        wording.policy.check_prompt(prompt.wanted.text, prompt.negatives.text)
        return prompt


class ExpandForm(PromptForm):
    """Who is to propose changes, and which of them are refused by their ids."""

    expanders: Annotated[tuple[Name, ...], Field(max_length=8)] = ("storyboard",)
    refuse: Annotated[tuple[Name, ...], Field(max_length=200)] = ()
    styles: Annotated[tuple[Name, ...], Field(max_length=8)] = ()
    """Whose trigger words are to be there."""
    taught_only: bool = False
    """Whether words that the base was never taught are kept out of what is added."""
    write: Syntax = Syntax.A1111


class Parsed(BaseModel):
    """A prompt as a tree, and what the model makes of it."""

    tree: Prompt
    prompt: str
    negative_prompt: str
    """Both as plain words, wildcards drawn; with `emphasis` they are what a plan takes."""
    emphasis: list[Emphasis]
    styles: list[StyleUse]
    """Those that were named among the words."""
    windows: Windows
    negative_windows: Windows
    untaught: list[Untaught] | None
    """Null where nobody wrote down what the base was taught."""

    @classmethod
    def of(cls, tree: Prompt, wording: Wording, triggers: tuple[str, ...] = ()) -> Self:
        """Measured with the tokenizers of the base."""
        wanted, unwanted = tree.wanted.text, tree.negatives.text
        return cls(
            tree=tree,
            prompt=wanted,
            negative_prompt=unwanted,
            emphasis=[*emphasis(tree.wanted), *emphasis(tree.negatives, negative=True)],
            styles=_uses(tree),
            windows=Windows.of(wanted, wording.tokenizer),
            negative_windows=Windows.of(unwanted, wording.tokenizer),
            untaught=wording.engine.untaught(tree, triggers),
        )


def _uses(tree: Prompt) -> list[StyleUse]:
    """InvalidRequest for a weight that no plan takes."""
    for style in tree.styles:
        if abs(style.weight) > MOST_STYLE:
            words = f"asks for {style.name!r} {style.weight:g} times; the most is {MOST_STYLE:g}"
            raise InvalidRequest("prompt", words)
    return [StyleUse(name=style.name, weight=style.weight) for style in tree.styles]


class Expanded(Parsed):
    """The same of the expanded prompt, with everything that was proposed."""

    written: str
    negative_written: str
    """In the syntax that was asked for, weights and styles included."""
    proposals: list[Proposal]


class RuleShown(BaseModel):
    """One of a pack's rules."""

    id: str
    add: tuple[str, ...]
    to: Slot
    unwanted: bool
    why: str


class PackShown(BaseModel):
    """A rule pack, as somebody chooses one."""

    name: str
    about: str
    rules: list[RuleShown]


@router.post("/parse")
def parse(form: PromptForm, _: Reader, wording: Worded) -> Parsed:
    """Read a prompt: its parts, their weights, and where every word came from."""
    return Parsed.of(form.read(wording), wording)


@router.post("/expand")
def expand(form: ExpandForm, _: Drawer, wording: Worded) -> Expanded:
    """Propose what to add, and apply what is not refused."""
    tree = form.read(wording)
    named = dict.fromkeys((*form.styles, *(style.name for style in tree.styles)))
    triggers = {name: wording.catalogue.card(name).triggers for name in named}
    asked: list[Expander] = wording.engine.chosen(form.expanders)
    asked += [Triggers(triggers)] if triggers else []
    found = wording.engine.expand(tree, asked, form.seed, form.refuse, form.taught_only)
    wanted, unwanted = found.prompt.wanted, found.prompt.negatives
    wording.policy.check_prompt(wanted.text, unwanted.text)
    words = tuple(word for some in triggers.values() for word in some)
    parsed = Parsed.of(found.prompt, wording, words)
    return Expanded(
        **dict(parsed),
        written=write(wanted, form.write, found.prompt.styles),
        negative_written=write(unwanted, form.write),
        proposals=found.proposals,
    )


@router.get("/packs")
def packs(_: Reader, wording: Worded) -> list[PackShown]:
    """Show the rule packs that can propose changes."""
    return [
        PackShown(
            name=pack.name,
            about=pack.about,
            rules=[
                RuleShown(
                    id=f"{pack.name}/{rule.id}",
                    add=rule.add,
                    to=rule.to,
                    unwanted=rule.unwanted,
                    why=rule.why,
                )
                for rule in pack.rules
            ],
        )
        for pack in wording.packs.values()
    ]
