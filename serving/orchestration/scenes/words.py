"""From a resolved shot to the words of its prompt."""

from collections.abc import Mapping

from luciole.domain.shots import Shot
from luciole.domain.storyboard import CastMember, Place, Role
from serving.orchestration.characters.applying import person_words

PLACES: tuple[Place, ...] = ("left", "middle", "right")


def prompt_of(shot: Shot, cast: Mapping[str, CastMember]) -> str:
    """People first, from left to right, then what happens, the place, the light, the camera."""
    people = [
        person_words(cast[name], shot.camera.shot, outfit=role.outfit, pose=role.pose)
        for name, role in from_left_to_right(shot)
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
