"""From a resolved shot to the words of its prompt."""

from collections.abc import Mapping

from luciole.domain.character import Facet
from luciole.domain.shots import Shot
from luciole.domain.storyboard import CastMember, Place, Role, ShotSize

PLACES: tuple[Place, ...] = ("left", "middle", "right")
_UNSEEN = {ShotSize.EXTREME_CLOSE_UP: {Facet.OUTFIT, Facet.POSE}}
"""Facets that a framing hides: their words would only be drawn somewhere else."""


def prompt_of(shot: Shot, cast: Mapping[str, CastMember]) -> str:
    """People first, from left to right, then what happens, the place, the light, the camera."""
    people = [
        person_words(cast[name], role, shot.camera.shot) for name, role in from_left_to_right(shot)
    ]
    parts = [
        " and ".join(said for said in people if said),
        shot.words,
        shot.background,
        shot.lighting,
        shot.palette,
        shot.camera.shot,
        shot.camera.angle if shot.camera.angle != "eye level" else None,
    ]
    return ", ".join(part.strip() for part in parts if part and part.strip())


def story_of(shot: Shot) -> str:
    """What a reader of the storyboard wants to know, such as 'mika waving; at sunset'."""
    people = [f"{name} {role.pose or ''}".strip() for name, role in from_left_to_right(shot)]
    parts = [" and ".join(people), shot.words, shot.background, shot.lighting, shot.palette]
    return "; ".join(part for part in parts if part)


def from_left_to_right(shot: Shot) -> list[tuple[str, Role]]:
    """Who is in a shot, in the order of where they stand."""
    places = places_of(shot)
    return sorted(shot.roles.items(), key=lambda one: PLACES.index(places[one[0]]))


def places_of(shot: Shot) -> dict[str, Place]:
    """Where everybody stands; those without a place take the free ones as they are named.

    One person stands in the middle, two stand left and right.
    """
    wanted = [role.place for role in shot.roles.values() if role.place is not None]
    first: tuple[Place, ...] = ("left", "right") if len(shot.roles) == 2 else ("middle",)
    free = iter(place for place in dict.fromkeys((*first, *PLACES)) if place not in wanted)
    return {
        name: next(free) if (at := role.place) is None else at for name, role in shot.roles.items()
    }


def person_words(member: CastMember, role: Role, shot: ShotSize) -> str:
    """Such as 'a girl with long red hair wearing a blue coat walking, pale colours'."""
    hidden = _UNSEEN.get(shot, set())
    said = {
        Facet.IDENTITY: member.words.get(Facet.IDENTITY),
        Facet.OUTFIT: role.outfit if role.outfit is not None else member.words.get(Facet.OUTFIT),
        Facet.POSE: role.pose if role.pose is not None else member.words.get(Facet.POSE),
        Facet.PALETTE: member.words.get(Facet.PALETTE),
    }
    seen = {facet: words for facet, words in said.items() if words and facet not in hidden}
    text = seen.get(Facet.IDENTITY, "somebody")
    if Facet.OUTFIT in seen:
        text += f" wearing {seen[Facet.OUTFIT]}"
    if Facet.POSE in seen:
        text += f" {seen[Facet.POSE]}"
    return f"{text} in {seen[Facet.PALETTE]}" if Facet.PALETTE in seen else text
