"""What a caller of the asynchronous form may ask for, and the plans that it becomes."""

import secrets
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from luciole.bundle import Manifest
from luciole.domain import (
    Emphasis,
    GenerationRequest,
    InvalidRequest,
    RenderPlan,
    SolverName,
    plans,
)
from luciole.domain.guides import (
    MOST_CONTROLS,
    MOST_IDENTITIES,
    AnchorUse,
    ControlUse,
    IdentityUse,
    LatentReference,
    Mask,
    NoiseFamily,
    Start,
)
from luciole.domain.request import (
    Guidance,
    GuidanceEta,
    Seed,
    StyleStrategy,
    StyleUse,
    Words,
)
from serving.gateway.errors import fault

MOST = 10
"""Pictures of one job."""
Project = Annotated[str, StringConstraints(min_length=1, max_length=200)]
GUIDES = ("start", "mask", "controls", "identities", "family", "reference", "anchor")


class Form(BaseModel):
    """Fields in camelCase; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, frozen=True)


class Size(Form):
    """In pixels."""

    width: int = Field(ge=1, le=8192)
    height: int = Field(ge=1, le=8192)


class StyleChoice(Form):
    """Styles by name, all with one strength: 100 is as they were trained."""

    presets: Annotated[list[Annotated[str, StringConstraints(min_length=1, max_length=100)]],
                       Field(min_length=1, max_length=8)]  # fmt: skip
    strength: Annotated[int, Field(ge=0, le=200)] = 100
    strategy: StyleStrategy = StyleStrategy.SUM
    turn: Annotated[int, Field(ge=1, le=200)] = 1


class GenerateForm(Form):
    """Pictures from words, guided by pictures that were uploaded before."""

    prompt: Words
    negative_prompt: Words = ""
    size: Size | None = None
    num_variations: Annotated[int, Field(ge=1, le=MOST)] | None = None
    seeds: Annotated[list[Seed], Field(min_length=1, max_length=MOST)] | None = None
    style: StyleChoice | None = None
    custom_model_id: str | None = Field(default=None, max_length=200)
    steps: Annotated[int, Field(ge=1, le=200)] | None = None
    guidance_scale: Guidance | None = None
    guidance_eta: GuidanceEta | None = None
    emphasis: Annotated[tuple[Emphasis, ...], Field(max_length=500)] = ()
    solver: SolverName | None = None
    project: Project | None = None

    start: Start | None = None
    mask: Mask | None = None
    controls: Annotated[list[ControlUse], Field(max_length=MOST_CONTROLS)] = []
    identities: Annotated[list[IdentityUse], Field(max_length=MOST_IDENTITIES)] = []
    family: NoiseFamily | None = None
    reference: LatentReference | None = None
    anchor: AnchorUse | None = None


def planned(form: GenerateForm, manifest: Manifest) -> list[RenderPlan]:
    """One plan a picture; InvalidRequest names the field that cannot be."""
    if form.custom_model_id not in {None, manifest.name}:
        raise InvalidRequest("customModelId", f"is not served here; there is {manifest.name!r}")
    first, seeds = _seeds(form)
    size = form.size or Size(width=manifest.sizes.default, height=manifest.sizes.default)
    chosen: dict[str, Any] = {
        "prompt": form.prompt,
        "negative_prompt": form.negative_prompt,
        "width": size.width,
        "height": size.height,
        "steps": form.steps,
        "guidance_scale": form.guidance_scale,
        "guidance_eta": form.guidance_eta,
        "emphasis": form.emphasis,
        "solver": form.solver,
        "seed": first,
        "count": len(seeds),
        "styles": _styles(form.style),
        "style_strategy": form.style.strategy if form.style else None,
        "style_turn": form.style.turn if form.style else None,
        **{name: getattr(form, name) for name in GUIDES},
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    try:
        drawn = plans(GenerationRequest(**given))
    except ValidationError as error:
        names = {"width": "size", "height": "size"}
        raise fault(error, names | {name: to_camel(name) for name in chosen}) from None
    return [plan.model_copy(update={"seed": seed}) for plan, seed in zip(drawn, seeds, strict=True)]


def _seeds(form: GenerateForm) -> tuple[int, list[int]]:
    """Those that were given, or one by chance and those that follow it."""
    if form.seeds is not None:
        if form.num_variations not in {None, len(form.seeds)}:
            raise InvalidRequest("seeds", f"are {len(form.seeds)}, not {form.num_variations}")
        return form.seeds[0], form.seeds
    first = secrets.randbits(32)
    return first, list(range(first, first + (form.num_variations or 1)))


def _styles(choice: StyleChoice | None) -> tuple[StyleUse, ...]:
    if choice is None:
        return ()
    return tuple(StyleUse(name=name, weight=choice.strength / 100) for name in choice.presets)
