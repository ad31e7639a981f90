"""From a storyboard to render plans, and to keys that say when a frame must be drawn again."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from luciole.domain import AnchorUse, IdentityUse, LatentReference, RenderPlan
from luciole.domain.character import Facet
from luciole.domain.guides import MOST_IDENTITIES
from luciole.domain.shots import Shot, shots
from luciole.domain.storyboard import Storyboard
from serving.orchestration.characters.applying import EVERY, references
from serving.orchestration.pictures import name_of, png
from serving.orchestration.scenes.regions import columns, mask
from serving.orchestration.scenes.words import from_left_to_right, places_of, prompt_of

RULES = 1
"""Of this compiler; another number makes every frame stale."""


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
class _Guides:
    """What the plan gets besides words, and what it does not."""

    given: dict[str, Any] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def compile_storyboard(
    storyboard: Storyboard, graphs: Collection[str], renderer: str, masks: dict[str, bytes]
) -> tuple[CompiledFrame, ...]:
    """Every frame's plan, sources first; InvalidRequest names frame and field.

    `graphs` are those of the model's bundle and say which guides it can take, `renderer` is a hash
    of whatever draws. Masks that the plans name are added to `masks`.
    """
    made: dict[str, CompiledFrame] = {}
    for shot in shots(storyboard):
        guides = _Guides()
        _latent(shot, guides, made, graphs)
        _anchor(shot, guides, made, graphs)
        _identities(shot, storyboard, guides, graphs, masks)
        looks_at = tuple(made[name].key for name in shot.looks_at if name in made)
        plan = RenderPlan(
            prompt=prompt_of(shot, storyboard.characters),
            seed=shot.seed,
            family=shot.family,
            **storyboard.canvas.model_dump(),
            **guides.given,
        )
        key = _key(plan, renderer)
        used = tuple(key for key in looks_at if key in plan.pictures)
        made[shot.name] = CompiledFrame(shot, plan, key, used, tuple(guides.left_out))
    return tuple(made.values())


def with_pictures(plan: RenderPlan, pictures: Mapping[str, str]) -> RenderPlan:
    """The plan with earlier frames' keys replaced by the names of their pictures."""
    changes = {
        name: guide.model_copy(update={"picture": pictures[guide.picture]})
        for name in ("reference", "anchor")
        if (guide := getattr(plan, name)) is not None
    }
    return plan.model_copy(update=changes)


def _key(plan: RenderPlan, renderer: str) -> str:
    said = {"rules": RULES, "renderer": renderer, "plan": plan.model_dump(mode="json")}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _latent(
    shot: Shot, guides: _Guides, made: Mapping[str, CompiledFrame], graphs: Collection[str]
) -> None:
    if shot.latent is None:
        return
    source, pull = shot.latent
    if "vae_encoder" in graphs:
        window = pull.model_dump()
        guides.given["reference"] = LatentReference(picture=made[source].key, **window)
    else:
        guides.left_out.append(f"latent of {source!r}: the model has no graph 'vae_encoder'")


def _anchor(
    shot: Shot, guides: _Guides, made: Mapping[str, CompiledFrame], graphs: Collection[str]
) -> None:
    if shot.anchor is None:
        return
    if "anchor_encoder" in graphs:
        window = shot.anchor.model_dump(exclude={"frame"})
        guides.given["anchor"] = AnchorUse(picture=made[shot.anchor.frame].key, **window)
    else:
        words = f"anchor {shot.anchor.frame!r}: the model has no graph 'anchor_encoder'"
        guides.left_out.append(words)


def _identities(
    shot: Shot,
    storyboard: Storyboard,
    guides: _Guides,
    graphs: Collection[str],
    masks: dict[str, bytes],
) -> None:
    uses = _uses(shot, storyboard, masks)
    if "image_encoder" not in graphs and uses:
        guides.left_out.append("references of characters: the model has no graph 'image_encoder'")
        return
    uses.sort(key=lambda one: -one[2].weight)
    for name, facet, _ in uses[MOST_IDENTITIES:]:
        words = f"{facet} of {name!r}: a frame takes {MOST_IDENTITIES} identities"
        guides.left_out.append(words)
    guides.given["identities"] = tuple(use for _, _, use in uses[:MOST_IDENTITIES])


def _uses(
    shot: Shot, storyboard: Storyboard, masks: dict[str, bytes]
) -> list[tuple[str, Facet, IdentityUse]]:
    """Everybody's references; of several people each keeps to where they stand.

    Pictures of the usual clothes are left out where a frame asks for other ones.
    """
    canvas = storyboard.canvas
    between = columns(places_of(shot), canvas.width) if shot.roles else {}
    uses = []
    for name, role in from_left_to_right(shot):
        where = None
        if len(shot.roles) > 1:
            content = png(mask(between[name], canvas.width, canvas.height))
            where = name_of(content)
            masks[where] = content
        facets = EVERY if role.outfit is None else EVERY - {Facet.OUTFIT}
        member = storyboard.characters[name]
        found = references(member, shot.camera.shot, facets, where)
        uses += [(name, facet, use) for facet, use in found]
    return uses
