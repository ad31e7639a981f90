"""What may guide a picture besides words; pictures are named by the SHA-256 of their bytes."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

PictureName = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 in hexadecimal of the file's bytes, as assets are named."""
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
MOST_WEIGHT = 2.0
Weight = Annotated[float, Field(ge=0.0, le=MOST_WEIGHT, allow_inf_nan=False)]
MOST_CONTROLS = 4
MOST_IDENTITIES = 4
MOST_REFERENCES = 4


class _Guide(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Windowed(_Guide):
    """Acts from `begin` to `end`, as parts of the steps."""

    begin: Share = 0.0
    end: Share = 1.0

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.begin >= self.end:
            raise ValueError(f"begin {self.begin:g} must come before end {self.end:g}")
        return self


class Start(_Guide):
    """Image to image: `strength` 1 begins at noise alone, less keeps more of the picture."""

    picture: PictureName
    strength: Share = 0.6


class Mask(_Guide):
    """White is drawn again, black stays as it is; `feather` pixels around white are blended."""

    picture: PictureName
    feather: int = Field(default=4, ge=0, le=256)


class ControlKind(StrEnum):
    """What a control picture shows."""

    POSE = "pose"
    DEPTH = "depth"


class ControlUse(_Windowed):
    """A drawing that says where things stand; several add up."""

    kind: ControlKind
    picture: PictureName
    weight: Weight = 1.0


class IdentityBlocks(StrEnum):
    """Where an identity is heard: everywhere, or only where style or layout is decided."""

    ALL = "all"
    STYLE = "style"
    LAYOUT = "layout"


class IdentityUse(_Guide):
    """Somebody known from pictures; with a `mask`, white is where they are."""

    references: Annotated[tuple[PictureName, ...], Field(min_length=1, max_length=MOST_REFERENCES)]
    weight: Weight = 1.0
    blocks: IdentityBlocks = IdentityBlocks.ALL
    mask: PictureName | None = None


class NoiseFamily(_Guide):
    """Pictures of one family begin with noise of which this `share` of the power is common."""

    seed: int = Field(ge=0, lt=2**63)
    share: Share


class LatentReference(_Windowed):
    """An earlier frame whose latents pull at this one's; `strength` 1 leaves nothing else."""

    picture: PictureName
    strength: Share = 0.3
    end: Share = 0.5


class AnchorUse(_Windowed):
    """An earlier frame whose keys and values this one's attention reads beside its own."""

    picture: PictureName
    strength: Weight = 1.0


class Guides(BaseModel):
    """Everything optional; nothing given, nothing guides but the words."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: Start | None = None
    mask: Mask | None = None
    controls: Annotated[tuple[ControlUse, ...], Field(max_length=MOST_CONTROLS)] = ()
    identities: Annotated[tuple[IdentityUse, ...], Field(max_length=MOST_IDENTITIES)] = ()
    family: NoiseFamily | None = None
    reference: LatentReference | None = None
    anchor: AnchorUse | None = None

    @field_validator("mask")
    @classmethod
    def _has_a_start(cls, mask: Mask | None, known: ValidationInfo) -> Mask | None:
        if mask is not None and known.data.get("start") is None:
            raise ValueError("needs a start: the picture of which a part is drawn again")
        return mask

    @property
    def pictures(self) -> tuple[str, ...]:
        """Names of all pictures that are needed, each once."""
        named = [guide.picture for guide in (self.start, self.mask) if guide is not None]
        named += [use.picture for use in self.controls]
        for use in self.identities:
            named += [*use.references, *([use.mask] if use.mask else [])]
        named += [guide.picture for guide in (self.reference, self.anchor) if guide is not None]
        return tuple(dict.fromkeys(named))
