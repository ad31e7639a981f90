"""Storyboards as callers write them, in JSON or YAML, with characters by their ids."""

from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import from_json

from luciole.domain import InvalidRequest, StyleUse
from luciole.domain.character import CharacterName, Facet
from luciole.domain.guides import PictureName, Weight
from luciole.domain.request import Seed, Words
from luciole.domain.storyboard import MAX_FRAMES, Anchor, Canvas, Frame, Link, Retries
from serving.gateway.generations.form import Project
from serving.orchestration.scenes.written import mistake

Pictures = Annotated[tuple[PictureName, ...], Field(min_length=1, max_length=32)]
YAML = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")
MOST_DEEP = 30


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CharacterUse(_Form):
    """A remembered character by its id, words of one's own, or both: what is said here counts.

    Pictures are assets by their hashes; `lora` is what was learned of it, among the styles.
    """

    id: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    identity: Words = ""
    outfit: Words = ""
    palette: Words = ""
    pose: Words = ""
    pictures: dict[Facet, Pictures] = {}
    lora: StyleUse | None = None
    lora_alone: bool = False
    """Whether it is left off in frames with others."""
    weight: Weight = 1.0
    """How strongly its pictures guide; at 0 they only tell how alike a drawing is."""

    @property
    def words(self) -> dict[Facet, str]:
        """What was said, by facet."""
        return {facet: said for facet in Facet if (said := getattr(self, facet.value))}


class StoryboardForm(_Form):
    """A story in frames; a frame's `inherits` and the `chain` say what it takes from which."""

    title: Words
    seed: Seed = 0
    canvas: Canvas = Canvas()
    characters: Annotated[dict[CharacterName, CharacterUse], Field(max_length=50)] = {}
    chain: Link | None = None
    anchor: Anchor | None = None
    retries: Retries = Retries()
    frames: Annotated[tuple[Frame, ...], Field(min_length=1, max_length=MAX_FRAMES)]


class BuildForm(_Form):
    """How a build is to be filed."""

    project: Project | None = None


class _Plain(yaml.SafeLoader):
    """Without aliases, which make a small file a large one, and without endless nesting."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Refuse what nobody writes by hand."""
        if self.check_event(yaml.AliasEvent):
            raise InvalidRequest("body", "uses aliases (*name), which are not taken here")
        self.depth = getattr(self, "depth", 0) + 1
        if self.depth > MOST_DEEP:
            raise InvalidRequest("body", f"is nested more than {MOST_DEEP} deep")
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def read_storyboard(content: bytes, kind: str) -> StoryboardForm:
    """By its media type; InvalidRequest names the frame and the field that are wrong."""
    is_yaml = kind.partition(";")[0].strip().lower() in YAML
    written = _yaml(content) if is_yaml else _json(content)
    if not isinstance(written, dict):
        raise InvalidRequest("body", "must say title and frames")
    try:
        return StoryboardForm.model_validate(written)
    except ValidationError as error:
        raise mistake(error, written) from None


def _json(content: bytes) -> Any:
    try:
        return from_json(content, allow_inf_nan=False)
    except ValueError:
        raise InvalidRequest("body", "is not valid JSON; YAML needs its media type") from None


def _yaml(content: bytes) -> Any:
    try:
        return yaml.load(content.decode(), _Plain)  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        place = getattr(error, "problem_mark", None)
        where = f" in line {place.line + 1}" if place else ""
        raise InvalidRequest("body", f"is not valid YAML{where}") from None
