"""What callers of OpenAI's shape may ask for, and the plans that it becomes."""

import re
import secrets
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from luciole.bundle import Manifest, Sizes
from luciole.domain import (
    Emphasis,
    GenerationRequest,
    InvalidRequest,
    RenderPlan,
    SolverName,
    StyleStrategy,
    plans,
)
from luciole.domain.guides import Guides
from luciole.domain.request import Guidance, GuidanceEta, Seed, Styles, Words
from serving.gateway.drawing import Draws
from serving.gateway.encoding import DEFAULT_COMPRESSION, PictureFormat
from serving.gateway.errors import fault

STEPS = {"low": 10, "medium": 20, "high": 40}
"""How many steps a word for quality stands for."""
QUALITY = {"auto": "medium", "standard": "medium", "hd": "high"}
SIZE = re.compile("([0-9]{1,5})x([0-9]{1,5})")
OURS = {
    "count": "n",
    "steps": "num_inference_steps",
    "width": "size",
    "height": "size",
    "start": "image",
    "start.strength": "strength",
}
"""The domain's field names as callers of these routes know them."""


class ImagesRequest(BaseModel):
    """OpenAI's fields, then ours; what is left out or null takes its default."""

    model_config = ConfigDict(extra="forbid")

    prompt: Words
    model: str | None = None
    n: Annotated[int, Field(ge=1, le=10)] | None = 1
    size: str | None = "auto"
    quality: Literal["auto", "low", "medium", "high", "standard", "hd"] | None = "auto"
    background: Literal["auto", "opaque"] | None = "auto"
    output_format: PictureFormat | None = PictureFormat.PNG
    output_compression: Annotated[int, Field(ge=0, le=100)] | None = None
    response_format: Literal["b64_json", "url"] | None = "b64_json"
    stream: bool | None = False
    partial_images: Annotated[int, Field(ge=0, le=3)] | None = None
    user: str | None = Field(default=None, max_length=512)

    negative_prompt: Words | None = None
    num_inference_steps: Annotated[int, Field(ge=1, le=200)] | None = None
    guidance_scale: Guidance | None = None
    guidance_eta: GuidanceEta | None = None
    seed: Seed | None = None
    solver: SolverName | None = None
    styles: Styles | None = None
    style_strategy: StyleStrategy | None = None
    style_turn: Annotated[int, Field(ge=1, le=200)] | None = None
    emphasis: Annotated[tuple[Emphasis, ...], Field(max_length=500)] | None = None

    @property
    def form(self) -> PictureFormat:
        """How pictures are written."""
        return self.output_format or PictureFormat.PNG

    @property
    def compression(self) -> int:
        """JPEG's and WebP's quality, 0 to 100."""
        given = self.output_compression
        return DEFAULT_COMPRESSION if given is None else given

    @property
    def told_quality(self) -> str:
        """The word that is answered."""
        asked = self.quality or "auto"
        return QUALITY.get(asked, asked)

    def check(self) -> None:
        """InvalidRequest for fields that do not go together."""
        if self.partial_images and not self.stream:
            raise InvalidRequest("partial_images", "come with stream: true only")
        if self.stream and self.response_format == "url":
            raise InvalidRequest("response_format", "of a stream is b64_json")


def planned(
    asked: ImagesRequest, draws: Draws, guides: Guides | None = None, size: str = "auto"
) -> list[RenderPlan]:
    """One plan a picture; InvalidRequest names the field of the route that cannot be.

    `size` is what `auto` means, `guides` what beside words shall guide the pictures.
    """
    asked.check()
    manifest = draws.manifest
    _check_model(asked.model, manifest)
    if asked.size not in {None, "auto"}:
        size = asked.size or size
    width, height = parse_size(size, manifest.sizes)
    drawn = plans(_request(asked, width, height, guides))
    try:
        draws.check(drawn[0])
    except InvalidRequest as error:
        raise InvalidRequest(OURS.get(error.field, error.field), error.message) from None
    return drawn


def _check_model(asked: str | None, manifest: Manifest) -> None:
    if asked not in {None, manifest.name}:
        raise InvalidRequest("model", f"is not served here; there is {manifest.name!r}")


def _request(
    asked: ImagesRequest, width: int, height: int, guides: Guides | None
) -> GenerationRequest:
    """Fill in every default."""
    chosen: dict[str, Any] = {
        "prompt": asked.prompt,
        "negative_prompt": asked.negative_prompt,
        "width": width,
        "height": height,
        "steps": asked.num_inference_steps or STEPS[asked.told_quality],
        "guidance_scale": asked.guidance_scale,
        "guidance_eta": asked.guidance_eta,
        "seed": secrets.randbits(32) if asked.seed is None else asked.seed,
        "solver": asked.solver,
        "styles": asked.styles,
        "style_strategy": asked.style_strategy,
        "style_turn": asked.style_turn,
        "emphasis": asked.emphasis,
        "count": asked.n,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    if guides is not None:
        given |= {name: getattr(guides, name) for name in guides.model_fields_set}
    try:
        return GenerationRequest(**given)
    except ValidationError as error:
        raise fault(error, OURS) from None


def parse_size(words: str, sizes: Sizes) -> tuple[int, int]:
    """Read `auto` or `WIDTHxHEIGHT` in pixels; InvalidRequest says which sizes there are."""
    if words == "auto":
        return sizes.default, sizes.default
    found = SIZE.fullmatch(words)
    width, height = (int(side) for side in found.groups()) if found else (0, 0)
    if not (_fits(width, sizes) and _fits(height, sizes)):
        raise InvalidRequest(
            "size",
            f"must be auto or WIDTHxHEIGHT, such as {sizes.default}x{sizes.default}, "
            f"each a multiple of {sizes.stride} from {sizes.min} to {sizes.max} pixels",
        )
    return width, height


def nearest_size(width: int, height: int, sizes: Sizes) -> str:
    """The size in words that the model draws and that is nearest to a picture's."""

    def near(side: int) -> int:
        return min(sizes.max, max(sizes.min, round(side / sizes.stride) * sizes.stride))

    return f"{near(width)}x{near(height)}"


def _fits(side: int, sizes: Sizes) -> bool:
    return sizes.min <= side <= sizes.max and side % sizes.stride == 0
