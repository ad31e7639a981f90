"""What a caller may ask for."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from luciole.domain.guides import Guides, PictureName

MAX_PROMPT_CHARACTERS = 4000


class SolverName(StrEnum):
    """The ways to walk from noise to a picture that `luciole.sampling` knows."""

    DDIM = "ddim"
    EULER = "euler"
    EULER_ANCESTRAL = "euler_ancestral"
    DPMPP_2M = "dpmpp_2m"
    LCM = "lcm"


Words = Annotated[str, StringConstraints(max_length=MAX_PROMPT_CHARACTERS)]
Guidance = Annotated[float, Field(ge=1.0, le=30.0, allow_inf_nan=False)]
GuidanceEta = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
"""How much stays of guidance along the picture itself, which saturates (arXiv:2410.02416)."""
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class StyleUse(BaseModel):
    """A style by name and how strongly it acts: 0 not at all, 1 as it was trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    weight: float = Field(default=1.0, ge=-2.0, le=2.0, allow_inf_nan=False)
    mask: PictureName | None = None
    """White is where it acts; for the strategy `regional`."""


class StyleStrategy(StrEnum):
    """How several styles come together.

    `sum` adds their changes up. `switch` lets one act after the other, and `composite` takes the
    mean of what each alone would predict (arXiv:2402.16843). `regional` gives each its own place.
    """

    SUM = "sum"
    SWITCH = "switch"
    COMPOSITE = "composite"
    REGIONAL = "regional"


Styles = Annotated[tuple[StyleUse, ...], Field(max_length=8)]


class Emphasis(BaseModel):
    """Letters `start` to `end` of the prompt, or of the negative one, said so much louder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: int = Field(ge=0, lt=MAX_PROMPT_CHARACTERS)
    end: int = Field(ge=1, le=MAX_PROMPT_CHARACTERS)
    weight: float = Field(ge=-10.0, le=10.0, allow_inf_nan=False)
    """1 is as it stands there, 0 as if it were not there."""
    negative: bool = False


class Wish(Guides):
    """What is said of a picture: words, how loud they are, and styles."""

    prompt: Words
    negative_prompt: Words = ""
    emphasis: Annotated[tuple[Emphasis, ...], Field(max_length=500)] = ()
    styles: Styles = ()
    style_strategy: StyleStrategy = StyleStrategy.SUM
    style_turn: int = Field(default=1, ge=1, le=200)
    """Steps that each style acts for before the next, with `switch`."""

    @model_validator(mode="after")
    def _masks_are_for_regions(self) -> Self:
        masked = any(use.mask is not None for use in self.styles)
        if masked != (self.style_strategy is StyleStrategy.REGIONAL):
            raise ValueError("style_strategy: regional and masks of styles need each other")
        return self

    @model_validator(mode="after")
    def _emphasis_lies_on_words(self) -> Self:
        for one in self.emphasis:
            text = self.negative_prompt if one.negative else self.prompt
            if not one.start < one.end <= len(text):
                raise ValueError(f"emphasis: {one.start} to {one.end} lies outside of the text")
        return self

    @property
    def pictures(self) -> tuple[str, ...]:
        """Names of all pictures that are needed, each once."""
        masks = [use.mask for use in self.styles if use.mask is not None]
        return tuple(dict.fromkeys((*super().pictures, *masks)))


class GenerationRequest(Wish):
    """One or several pictures from words; sizes in pixels.

    `guidance_scale` 1 means none; `guidance_eta` 1 is plain guidance, less saturates less.
    """

    width: int = Field(default=128, ge=1, le=8192)
    height: int = Field(default=128, ge=1, le=8192)
    steps: int = Field(default=20, ge=1, le=200)
    guidance_scale: Guidance = 3.5
    guidance_eta: GuidanceEta = 1.0
    seed: Seed = 0
    solver: SolverName = SolverName.DPMPP_2M
    count: int = Field(default=1, ge=1, le=10)

    @field_validator("prompt")
    @classmethod
    def _says_something(cls, prompt: str) -> str:
        if not prompt.strip():
            raise ValueError("is empty; describe the picture in a few words")
        return prompt
