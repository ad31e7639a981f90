"""Puts a character into a plan: words for the text encoders, pictures for the identity adapter."""

from collections.abc import Collection

from luciole.domain import IdentityBlocks, IdentityUse, RenderPlan
from luciole.domain.character import Character, Facet
from luciole.domain.guides import MOST_REFERENCES, MOST_WEIGHT
from luciole.domain.storyboard import CastMember, ShotSize

_BLOCKS = {
    Facet.IDENTITY: IdentityBlocks.ALL,
    Facet.OUTFIT: IdentityBlocks.ALL,
    Facet.PALETTE: IdentityBlocks.STYLE,
    Facet.POSE: IdentityBlocks.LAYOUT,
}
"""InstantStyle (arXiv:2404.02733): colours live in one attention block, layout in another."""
_WEIGHTS = {
    ShotSize.EXTREME_CLOSE_UP: {Facet.IDENTITY: 1.0, Facet.PALETTE: 0.6},
    ShotSize.CLOSE_UP: {Facet.IDENTITY: 1.0, Facet.OUTFIT: 0.5, Facet.PALETTE: 0.6},
    ShotSize.MEDIUM: {
        Facet.IDENTITY: 0.9, Facet.OUTFIT: 0.8, Facet.PALETTE: 0.6, Facet.POSE: 0.5,
    },
    ShotSize.FULL: {Facet.IDENTITY: 0.8, Facet.OUTFIT: 1.0, Facet.PALETTE: 0.6, Facet.POSE: 0.8},
    ShotSize.WIDE: {Facet.IDENTITY: 0.6, Facet.OUTFIT: 1.0, Facet.PALETTE: 0.6, Facet.POSE: 0.8},
}  # fmt: skip
"""What of a character counts in a framing: the face when it is near, the clothes when it is far."""
_UNSEEN = {ShotSize.EXTREME_CLOSE_UP: {Facet.OUTFIT, Facet.POSE}}
"""Facets that a framing hides: their words would only be drawn somewhere else."""
EVERY = frozenset(Facet)


def cast(character: Character) -> CastMember:
    """What a storyboard needs of a remembered character."""
    pictures = {facet: shown for facet in Facet if (shown := character.pictures(facet))}
    return CastMember(words=character.words, pictures=pictures)


def references(
    member: CastMember,
    shot: ShotSize,
    facets: Collection[Facet] = EVERY,
    mask: str | None = None,
) -> list[tuple[Facet, IdentityUse]]:
    """The chosen facets that have pictures and count in this framing; white of the mask is them.

    Nothing of a member whose pictures do not guide.
    """
    if member.weight == 0:
        return []
    return [
        (
            facet,
            IdentityUse(
                references=member.pictures[facet][:MOST_REFERENCES],
                weight=min(MOST_WEIGHT, member.weight * weight),
                blocks=_BLOCKS[facet],
                mask=mask,
            ),
        )
        for facet, weight in _WEIGHTS[shot].items()
        if facet in facets and member.pictures.get(facet)
    ]


def person_words(
    member: CastMember,
    shot: ShotSize,
    facets: Collection[Facet] = EVERY,
    outfit: str | None = None,
    pose: str | None = None,
) -> str:
    """Such as 'a girl with long red hair wearing a blue coat walking'; what is given goes first."""
    said = {**member.words}
    said |= {Facet.OUTFIT: outfit} if outfit is not None else {}
    said |= {Facet.POSE: pose} if pose is not None else {}
    hidden = _UNSEEN.get(shot, set())
    seen = {
        facet: words.strip()
        for facet, words in said.items()
        if words.strip() and facet in facets and facet not in hidden
    }
    text = seen.get(Facet.IDENTITY, "somebody")
    text += f" wearing {seen[Facet.OUTFIT]}" if Facet.OUTFIT in seen else ""
    text += f" {seen[Facet.POSE]}" if Facet.POSE in seen else ""
    return f"{text} in {seen[Facet.PALETTE]}" if Facet.PALETTE in seen else text


def applied(
    plan: RenderPlan, member: CastMember, shot: ShotSize, facets: Collection[Facet] = EVERY
) -> RenderPlan:
    """The plan with the character in it: its words before the others, its references behind."""
    uses = tuple(use for _, use in references(member, shot, facets))
    words = ", ".join(part for part in (person_words(member, shot, facets), plan.prompt) if part)
    return RenderPlan(
        **(plan.model_dump() | {"prompt": words, "identities": plan.identities + uses})
    )
