"""A story in frames, as a graph: who is where, seen how, and what a frame takes from another."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from luciole.domain.character import CharacterName, Facet
from luciole.domain.guides import PictureName, Share, Weight
from luciole.domain.request import (
    Guidance,
    GuidanceEta,
    Seed,
    SolverName,
    Styles,
    StyleUse,
    Words,
)

FrameName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$")]
Place = Literal["left", "middle", "right"]
PREVIOUS = "previous"
"""As the source of a link: the frame that comes just before."""
MAX_FRAMES = 200


class ShotSize(StrEnum):
    """How much of a person fills the frame."""

    EXTREME_CLOSE_UP = "extreme close-up"
    CLOSE_UP = "close-up"
    MEDIUM = "medium shot"
    FULL = "full shot"
    WIDE = "wide shot"


class Angle(StrEnum):
    """Where the camera looks from."""

    EYE_LEVEL = "eye level"
    LOW = "low angle"
    HIGH = "high angle"
    OVERHEAD = "overhead"
    DUTCH = "dutch angle"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Camera(_Record):
    """Shot size and angle."""

    shot: ShotSize = ShotSize.MEDIUM
    angle: Angle = Angle.EYE_LEVEL


class Role(_Record):
    """A character in one frame; what is not said comes from the character."""

    pose: Words | None = None
    outfit: Words | None = None
    place: Place | None = None
    """With several people in a frame: where this one stands."""


class _Window(_Record):
    """From `begin` to `end`, as parts of the steps."""

    begin: Share = 0.0
    end: Share = 1.0

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> Self:
        if self.begin >= self.end:
            raise ValueError(f"begin {self.begin:g} must come before end {self.end:g}")
        return self


class LatentPull(_Window):
    """How strongly the source's latents pull at this frame's, in which part of the steps."""

    strength: Share = 0.3
    end: Share = 0.5


class Link(_Record):
    """An edge of the graph: what a frame takes from its source, unless it says it itself."""

    source: FrameName = Field(alias="from", default=PREVIOUS)
    background: bool = False
    lighting: bool = False
    palette: bool = False
    characters: bool | tuple[CharacterName, ...] = False
    """Who comes along, dressed and placed as there; `true`: everybody."""
    poses: bool = False
    """Whether who comes along keeps the pose too."""
    noise: Share | None = None
    """The share of the starting noise that comes from the source's family."""
    latent: LatentPull | None = None


class Anchor(_Window):
    """A frame that later ones look back to, so that drift does not add up."""

    frame: FrameName
    strength: Weight = 1.0


class Frame(_Record):
    """One picture of the story as it was written; see `Shot` for the outcome."""

    name: FrameName
    words: Words = ""
    """What happens, beyond characters and place."""
    camera: Camera = Camera()
    background: Words | None = None
    lighting: Words | None = None
    palette: Words | None = None
    characters: dict[CharacterName, Role] = {}
    inherits: tuple[Link, ...] | None = None
    """None: the storyboard's `chain`; an empty list: nothing."""
    anchored: bool = True
    """Whether the storyboard's anchor holds for this frame."""
    seed: Seed | None = None
    """None: from the storyboard's seed and this frame's name."""
    seconds: float = Field(default=1.2, gt=0, le=60)
    """In the animatic."""


class CastMember(_Record):
    """A character as a storyboard needs it; its pictures by hash."""

    words: dict[Facet, Words]
    pictures: dict[Facet, tuple[PictureName, ...]] = {}
    lora: StyleUse | None = None
    """What was learned of the character; worn where they are, in every frame that shows them."""
    lora_alone: bool = False
    """Whether it is left off in frames with others."""
    weight: Weight = 1.0
    """How strongly the pictures guide; at 0 they only tell how alike a drawing is."""


class Canvas(_Record):
    """What all frames share; sizes in pixels."""

    width: int = Field(default=128, ge=1, le=8192)
    height: int = Field(default=128, ge=1, le=8192)
    steps: int = Field(default=20, ge=1, le=200)
    guidance_scale: Guidance = 3.5
    guidance_eta: GuidanceEta = 1.0
    solver: SolverName = SolverName.DPMPP_2M
    styles: Styles = ()
    negative_prompt: Words = ""


class Retries(_Record):
    """A frame whose characters drift is drawn again with other noise, and the best is kept."""

    attempts: int = Field(default=1, ge=1, le=8)
    """At most; 1 draws once and only flags."""
    least: float | None = Field(default=None, ge=-1, le=1, allow_inf_nan=False)
    """Likeness, a cosine, below which a character has drifted; None: what the model's encoder
    takes for the same person."""


class Storyboard(_Record):
    """Frames in the order in which they are told; links may come from any other frame."""

    title: Words
    seed: Seed = 0
    canvas: Canvas = Canvas()
    characters: dict[CharacterName, CastMember] = {}
    chain: Link | None = None
    """What a frame takes from the one before it unless it says so itself."""
    anchor: Anchor | None = None
    retries: Retries = Retries()
    frames: Annotated[tuple[Frame, ...], Field(min_length=1, max_length=MAX_FRAMES)]

    def frame(self, name: str) -> Frame:
        """The frame of that name."""
        return next(frame for frame in self.frames if frame.name == name)
