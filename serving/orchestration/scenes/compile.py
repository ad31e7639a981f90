"""From a storyboard to render plans, and to keys that say when a frame must be drawn again."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from luciole.domain import (
    AnchorUse,
    IdentityUse,
    InvalidRequest,
    LatentReference,
    RenderPlan,
    StyleStrategy,
)
from luciole.domain.character import Facet
from luciole.domain.guides import MOST_IDENTITIES
from luciole.domain.request import MAX_PROMPT_CHARACTERS
from luciole.domain.shots import Shot, shots
from luciole.domain.storyboard import Canvas, Retries, Storyboard
from serving.orchestration.characters.applying import EVERY, references
from serving.orchestration.pictures import name_of, png
from serving.orchestration.scenes.regions import columns, mask
from serving.orchestration.scenes.words import from_left_to_right, places_of, prompt_of

RULES = 1
"""Of this compiler; another number makes every frame stale."""
Allows = Callable[[RenderPlan], None]
"""Raises InvalidRequest where the model cannot follow a plan."""


@dataclass(frozen=True)
class CompiledFrame:
    """A plan whose earlier frames are named by their keys until their pictures are known."""

    shot: Shot
    plan: RenderPlan
    key: str
    """SHA-256 over all that the picture depends on; the same key means the same picture."""
    looks_at: tuple[str, ...]
    """Keys of the frames whose pictures the plan needs."""
    left_out: tuple[str, ...]
    """Guides that the model cannot take or that found no room, in words."""


@dataclass
class _Draft:
    """A plan that takes one guide after another, and notes what it may not take."""

    plan: RenderPlan
    allows: Allows
    left_out: list[str] = field(default_factory=list)

    def take(self, what: str, **guide: Any) -> None:
        """Take a guide, or note in words why not."""
        try:
            self.allows(self.plan.model_copy(update=guide))
        except InvalidRequest as error:
            self.left_out.append(f"{what}: {error.message}")
        else:
            self.plan = self.plan.model_copy(update=guide)


def compile_storyboard(
    storyboard: Storyboard,
    allows: Allows,
    renderer: str,
    masks: dict[str, bytes],
    *,
    alone: bool = False,
) -> tuple[CompiledFrame, ...]:
    """Every frame's plan, sources first; InvalidRequest names frame and field.

    `renderer` is a hash of whatever draws. Masks that the plans name are added to `masks`. With
    `alone` the plans have the same words and seeds, and nothing in common.
    """
    made: dict[str, CompiledFrame] = {}
    for shot in shots(storyboard):
        draft = _Draft(_spoken(shot, storyboard, alone), allows)
        if not alone:
            _frames(shot, draft, made)
            _identities(shot, storyboard, draft, masks)
            _learned(shot, storyboard, draft, masks)
        used = tuple(dict.fromkeys(_looked_at(draft.plan)))
        key = _key(draft.plan, storyboard.retries, renderer)
        made[shot.name] = CompiledFrame(shot, draft.plan, key, used, tuple(draft.left_out))
    return tuple(made.values())


def _spoken(shot: Shot, storyboard: Storyboard, alone: bool) -> RenderPlan:
    """The plan of a shot as far as it is words and noise."""
    prompt = prompt_of(shot, storyboard.characters)
    if len(prompt) > MAX_PROMPT_CHARACTERS:
        words = f"come to {len(prompt)} characters with all that it inherits; shorten some"
        raise InvalidRequest(f"frames.{shot.name}.words", words)
    family = None if alone else shot.family
    return RenderPlan(
        prompt=prompt, seed=shot.seed, family=family, **storyboard.canvas.model_dump()
    )


def with_pictures(plan: RenderPlan, pictures: Mapping[str, str]) -> RenderPlan:
    """The plan with earlier frames' keys replaced by the names of their pictures."""
    changes = {
        name: guide.model_copy(update={"picture": pictures[guide.picture]})
        for name in ("reference", "anchor")
        if (guide := getattr(plan, name)) is not None
    }
    return plan.model_copy(update=changes)


def _key(plan: RenderPlan, retries: Retries, renderer: str) -> str:
    said = {
        "rules": RULES,
        "renderer": renderer,
        "retries": retries.model_dump(mode="json"),
        "plan": plan.model_dump(mode="json"),
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _looked_at(plan: RenderPlan) -> list[str]:
    return [guide.picture for guide in (plan.reference, plan.anchor) if guide is not None]


def _frames(shot: Shot, draft: _Draft, made: Mapping[str, CompiledFrame]) -> None:
    """What earlier frames give."""
    if shot.latent is not None:
        source, pull = shot.latent
        reference = LatentReference(picture=made[source].key, **pull.model_dump())
        draft.take(f"latent of {source!r}", reference=reference)
    if shot.anchor is not None:
        window = shot.anchor.model_dump(exclude={"frame"})
        anchor = AnchorUse(picture=made[shot.anchor.frame].key, **window)
        draft.take(f"anchor {shot.anchor.frame!r}", anchor=anchor)


def _identities(shot: Shot, storyboard: Storyboard, draft: _Draft, masks: dict[str, bytes]) -> None:
    """The references that count most, as many as a plan takes."""
    uses = sorted(_uses(shot, storyboard, masks), key=lambda one: -one[2].weight)
    for name, facet, _ in uses[MOST_IDENTITIES:]:
        words = f"{facet} of {name!r}: a frame takes {MOST_IDENTITIES} identities"
        draft.left_out.append(words)
    if uses:
        chosen = tuple(use for _, _, use in uses[:MOST_IDENTITIES])
        draft.take("references of characters", identities=chosen)


def _uses(
    shot: Shot, storyboard: Storyboard, masks: dict[str, bytes]
) -> list[tuple[str, Facet, IdentityUse]]:
    """Everybody's references; of several people each keeps to where they stand.

    Pictures of the usual clothes are left out where a frame asks for other ones.
    """
    areas = _areas(shot, storyboard.canvas, masks)
    uses = []
    for name, role in from_left_to_right(shot):
        facets = EVERY if role.outfit is None else EVERY - {Facet.OUTFIT}
        member = storyboard.characters[name]
        found = references(member, shot.camera.shot, facets, areas.get(name))
        uses += [(name, facet, use) for facet, use in found]
    return uses


def _learned(shot: Shot, storyboard: Storyboard, draft: _Draft, masks: dict[str, bytes]) -> None:
    """Everybody's LoRA; with several people each acts where its character stands.

    Together they would make one person of two, for each was trained on pictures of one.
    """
    cast = storyboard.characters
    shared = len(shot.roles) > 1
    names = [name for name in shot.roles if not (shared and cast[name].lora_alone)]
    worn = {name: lora for name in names if (lora := cast[name].lora) is not None}
    if not worn:
        return
    areas = _areas(shot, storyboard.canvas, masks)
    uses = tuple(lora.model_copy(update={"mask": areas.get(name)}) for name, lora in worn.items())
    styles = {"styles": draft.plan.styles + uses}
    regional = {"style_strategy": StyleStrategy.REGIONAL} if areas else {}
    draft.take("what was learned of characters", **styles, **regional)


def _areas(shot: Shot, canvas: Canvas, masks: dict[str, bytes]) -> dict[str, str]:
    """Masks of where everybody stands, by their names; none for who is alone."""
    if len(shot.roles) < 2:
        return {}
    areas = {}
    for name, between in columns(places_of(shot), canvas.width).items():
        content = png(mask(between, canvas.width, canvas.height))
        areas[name] = name_of(content)
        masks[areas[name]] = content
    return areas
