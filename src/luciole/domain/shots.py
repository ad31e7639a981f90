"""What a storyboard's frames come to once every link is followed."""

import hashlib
from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict

from luciole.domain.errors import InvalidRequest
from luciole.domain.guides import NoiseFamily
from luciole.domain.storyboard import (
    PREVIOUS,
    Anchor,
    Camera,
    Frame,
    LatentPull,
    Link,
    Role,
    Storyboard,
)

MOST_PEOPLE = 3


class Shot(BaseModel):
    """A frame with nothing left open but the pictures of the frames it looks at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    words: str
    camera: Camera
    background: str | None
    lighting: str | None
    palette: str | None
    roles: dict[str, Role]
    seed: int
    seconds: float
    family: NoiseFamily
    """Its own where it inherits no noise; so followers can join without changing it."""
    latent: tuple[str, LatentPull] | None
    """The frame that pulls, and how."""
    anchor: Anchor | None

    @property
    def looks_at(self) -> tuple[str, ...]:
        """Frames whose pictures must be there before this one is drawn."""
        named = [self.latent[0]] if self.latent else []
        return tuple(dict.fromkeys([*named, *([self.anchor.frame] if self.anchor else [])]))


def shots(storyboard: Storyboard) -> tuple[Shot, ...]:
    """Every frame resolved, in an order in which they can be drawn.

    InvalidRequest names the frame and the field that cannot be followed.
    """
    _check_names(storyboard)
    links = {frame.name: links_of(storyboard, frame) for frame in storyboard.frames}
    anchors = _anchors(storyboard)
    made: dict[str, Shot] = {}
    for name in _order(storyboard, links, anchors):
        frame = storyboard.frame(name)
        made[name] = _shot(storyboard, frame, links[name], anchors.get(name), made)
    return tuple(made.values())


def links_of(storyboard: Storyboard, frame: Frame) -> tuple[Link, ...]:
    """A frame's links with their sources by name; the chain where it has none of its own."""
    names = [one.name for one in storyboard.frames]
    place = names.index(frame.name)
    chain = (storyboard.chain,) if storyboard.chain is not None else ()
    links: tuple[Link, ...] = chain if place > 0 else ()
    if frame.inherits is not None:
        links = frame.inherits
    found = []
    for i, link in enumerate(links):
        field = f"frames.{frame.name}.inherits.{i}.from"
        if link.source == PREVIOUS and place == 0:
            raise InvalidRequest(field, "the first frame has none before it; name another")
        source = names[place - 1] if link.source == PREVIOUS else link.source
        if source not in names:
            raise InvalidRequest(field, f"there is no frame {source!r}")
        found.append(link.model_copy(update={"source": source}))
    return tuple(found)


def _check_names(storyboard: Storyboard) -> None:
    names = [frame.name for frame in storyboard.frames]
    for i, frame in enumerate(storyboard.frames):
        if frame.name == PREVIOUS:
            raise InvalidRequest(f"frames.{i}.name", f"{PREVIOUS!r} means the frame before")
        if frame.name in names[:i]:
            raise InvalidRequest(f"frames.{i}.name", f"there is a frame {frame.name!r} already")
        for character in frame.characters:
            if character not in storyboard.characters:
                known = ", ".join(storyboard.characters) or "none"
                raise InvalidRequest(
                    f"frames.{frame.name}.characters",
                    f"{character!r} is not among the storyboard's characters ({known})",
                )
    if storyboard.anchor is not None and storyboard.anchor.frame not in names:
        raise InvalidRequest("anchor.frame", f"there is no frame {storyboard.anchor.frame!r}")


def _anchors(storyboard: Storyboard) -> dict[str, Anchor]:
    """The anchor of each frame told after it that wants it."""
    anchor = storyboard.anchor
    if anchor is None:
        return {}
    names = [frame.name for frame in storyboard.frames]
    later = storyboard.frames[names.index(anchor.frame) + 1 :]
    return {frame.name: anchor for frame in later if frame.anchored}


def _order(
    storyboard: Storyboard, links: Mapping[str, Iterable[Link]], anchors: Mapping[str, Anchor]
) -> list[str]:
    """Sources first, otherwise as the story goes."""
    done: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in done:
            return
        if name in path:
            circle = " <- ".join([*path[path.index(name) :], name])
            raise InvalidRequest(f"frames.{name}.inherits", f"goes round in a circle: {circle}")
        sources = [link.source for link in links[name]]
        for source in [*sources, *([anchors[name].frame] if name in anchors else [])]:
            visit(source, (*path, name))
        done.append(name)

    for frame in storyboard.frames:
        visit(frame.name, ())
    return done


def _shot(
    storyboard: Storyboard,
    frame: Frame,
    links: tuple[Link, ...],
    anchor: Anchor | None,
    made: Mapping[str, Shot],
) -> Shot:
    where = f"frames.{frame.name}"
    chosen: dict[str, str | None] = {}
    for kind in ("background", "lighting", "palette"):
        source = _only(where, kind, [link for link in links if getattr(link, kind)])
        own = getattr(frame, kind)
        chosen[kind] = own if own is not None or not source else getattr(made[source.source], kind)
    seed = _seed(storyboard, frame)
    pull = _only(where, "latent", [link for link in links if link.latent is not None])
    return Shot(
        name=frame.name,
        words=frame.words,
        camera=frame.camera,
        **chosen,
        roles=_roles(frame, links, made),
        seed=seed,
        seconds=frame.seconds,
        family=_family(where, links, seed, made),
        latent=(pull.source, pull.latent) if pull and pull.latent else None,
        anchor=anchor,
    )


def _only(where: str, kind: str, links: list[Link]) -> Link | None:
    if len(links) > 1:
        both = " and ".join(repr(link.source) for link in links)
        raise InvalidRequest(f"{where}.inherits", f"takes {kind} from {both}; keep one")
    return links[0] if links else None


def _family(where: str, links: tuple[Link, ...], own: int, made: Mapping[str, Shot]) -> NoiseFamily:
    """A chain is one family: it has the seed of the first frame, which is its noise alone."""
    link = _only(where, "noise", [link for link in links if link.noise is not None])
    if link is None or link.noise is None:
        return NoiseFamily(seed=own, share=1.0)
    return NoiseFamily(seed=made[link.source].family.seed, share=link.noise)


def _roles(frame: Frame, links: tuple[Link, ...], made: Mapping[str, Shot]) -> dict[str, Role]:
    """Who comes along, then who is named; what a frame says of somebody itself stays."""
    roles: dict[str, Role] = {}
    for i, link in enumerate(links):
        for name, role in _coming(f"frames.{frame.name}.inherits.{i}", link, made).items():
            if name in roles:
                raise InvalidRequest(
                    f"frames.{frame.name}.inherits.{i}.characters",
                    f"{name!r} comes from another link already; keep one",
                )
            roles[name] = role
    for name, role in frame.characters.items():
        said = role.model_dump(exclude_none=True)
        roles[name] = roles.get(name, Role()).model_copy(update=said)
    _check_places(f"frames.{frame.name}.characters", roles)
    return roles


def _check_places(field: str, roles: Mapping[str, Role]) -> None:
    if len(roles) > MOST_PEOPLE:
        raise InvalidRequest(field, f"{len(roles)} people; a frame has room for {MOST_PEOPLE}")
    taken: dict[str, str] = {}
    for name, role in roles.items():
        if role.place is not None and taken.setdefault(role.place, name) != name:
            raise InvalidRequest(
                f"{field}.{name}.place", f"{taken[role.place]!r} stands {role.place} already"
            )


def _coming(field: str, link: Link, made: Mapping[str, Shot]) -> dict[str, Role]:
    there = made[link.source].roles
    if isinstance(link.characters, tuple):
        for name in link.characters:
            if name not in there:
                raise InvalidRequest(
                    f"{field}.characters", f"{name!r} is not in frame {link.source!r}"
                )
        names = list(link.characters)
    else:
        names = list(there) if link.characters else []
    dropped = {} if link.poses else {"pose": None}
    return {name: there[name].model_copy(update=dropped) for name in names}


def _seed(storyboard: Storyboard, frame: Frame) -> int:
    """From the name and not the place: a new frame between two others leaves them as they are."""
    if frame.seed is not None:
        return frame.seed
    digest = hashlib.sha256(f"{storyboard.seed}:{frame.name}".encode()).digest()
    return int.from_bytes(digest[:8]) >> 1
