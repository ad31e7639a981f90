"""What guides a plan besides its words: who can do it, and the arrays it becomes."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from math import ceil, floor, lcm, sqrt
from typing import Any, Self

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from luciole.bundle import IdentitySpec, Manifest
from luciole.cache import Latest
from luciole.conditioning import run_in_batches
from luciole.domain import (
    ControlKind,
    ControlUse,
    IdentityBlocks,
    IdentityUse,
    InvalidRequest,
    NoiseFamily,
    RenderPlan,
    StyleStrategy,
)
from luciole.engines import Engine
from luciole.pictures import (
    NoPictures,
    Picture,
    Pictures,
    cells,
    clip_pixels,
    coverage,
    feathered,
    fitted,
    signed,
    unsigned,
    white,
)

Latents = Float32[np.ndarray, "channel height width"]
Tokens = Float32[np.ndarray, "token hidden"]
GUIDED = "denoiser_guided"
ANCHORS = "anchor_encoder"
FAMILY_KEY = 1 << 64
ANCHOR_KEY = 2 << 64
"""Above all seeds, so that this noise is nobody's own."""


def refuse_guides(plan: RenderPlan, manifest: Manifest) -> None:
    """InvalidRequest names the first guide that this model's bundle cannot follow."""
    needs = {
        "start": "vae_encoder",
        "mask": "vae_encoder",
        "reference": "vae_encoder",
        "controls": GUIDED,
        "identities": GUIDED,
        "anchor": ANCHORS,
    }
    for field, graph in needs.items():
        if getattr(plan, field) and graph not in manifest.graphs:
            words = f"{manifest.name!r} was exported without its graph {graph!r}"
            raise InvalidRequest(field, f"{words}; leave it out or export it again")
    if plan.identities and manifest.identity is None:
        raise InvalidRequest("identities", f"{manifest.name!r} was exported without an adapter")
    for use in plan.controls:
        if use.kind not in manifest.controls:
            there = ", ".join(manifest.controls) or "none"
            raise InvalidRequest("controls", f"there is no {use.kind}; there are: {there}")


def window(steps: int, begin: float, end: float) -> range:
    """The steps that lie wholly between two parts of the way, as diffusers counts them."""
    return range(ceil(begin * steps - 1e-9), floor(end * steps + 1e-9))


def in_family(own: Latents, family: NoiseFamily | None) -> Latents:
    """`sqrt(share)` of the family's noise and `sqrt(1 - share)` of one's own: N(0, 1) again."""
    if family is None:
        return own
    common = noise_of(FAMILY_KEY + family.seed, own.shape)
    share = np.float32(sqrt(family.share)), np.float32(sqrt(1 - family.share))
    return share[0] * common + share[1] * own


def noise_of(key: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Counter-based: it depends on the key alone, whatever else is drawn."""
    generator = np.random.Generator(np.random.Philox(key=key))
    return generator.standard_normal(shape, dtype=np.float32)


@dataclass(frozen=True)
class Identities:
    """Tokens of all identities of a plan, shown and not shown, and how each is heard."""

    shown: Float32[np.ndarray, "identity token hidden"]
    hidden: Float32[np.ndarray, "identity token hidden"]
    scale: Float32[np.ndarray, "identity layer"]
    mask: Float32[np.ndarray, "identity height width"]


@dataclass(frozen=True)
class Control:
    """One control picture in 0..1, and the steps in which it counts."""

    kind: ControlKind
    hint: Float32[np.ndarray, "3 height width"]
    weight: float
    steps: range


@dataclass(frozen=True)
class Anchor:
    """An earlier frame's latents with noise of its own, and the steps in which it is read."""

    latents: Latents
    noise: Latents
    strength: float
    steps: range


@dataclass(frozen=True)
class Redrawn:
    """The picture around what is drawn again."""

    picture: Picture
    soft: Float32[np.ndarray, "height width"]

    def over(self, drawn: Picture) -> Picture:
        """What was drawn inside the mask; outside of it the very bytes of the picture."""
        soft = self.soft[:, :, None]
        mixed = soft * drawn + (1 - soft) * self.picture
        return np.asarray(mixed + np.float32(0.5)).astype(np.uint8)


@dataclass(frozen=True)
class Guided:
    """All guides of one plan, ready for the loop; None and empty where there is none."""

    start: Latents | None = None
    mask: Float32[np.ndarray, "1 height width"] | None = None
    redrawn: Redrawn | None = None
    reference: Latents | None = None
    identities: Identities | None = None
    controls: tuple[Control, ...] = ()
    anchor: Anchor | None = None
    areas: Float32[np.ndarray, "style height width"] | None = None
    """Where each style of a regional blend acts."""


class Guider:
    """Reads the pictures of plans; what encoders make of the latest of them is kept."""

    def __init__(self, engine: Engine, pictures: Pictures | None = None, cached: int = 64) -> None:
        self._engine, self._pictures = engine, pictures or NoPictures()
        self._manifest = engine.bundle.manifest
        self._latents: Latest[tuple[str, int, int], Latents] = Latest(cached)
        self._tokens: Latest[str, Tokens] = Latest(cached)

    def over(self, engine: Engine, pictures: Pictures | None = None) -> Self:
        """The same with another view of the engine, and other pictures where they are given."""
        other = copy(self)
        other._engine = engine
        other._pictures = pictures or self._pictures
        return other

    def __call__(self, plan: RenderPlan, steps: int) -> Guided:
        """InvalidRequest for a picture that is not there; `steps` are those that are taken."""
        if not plan.pictures:
            return Guided()
        mask = self._mask(plan)
        return Guided(
            start=self._encoded(plan, plan.start.picture) if plan.start else None,
            mask=None if mask is None else cells(mask, self._manifest.latent_stride)[None],
            redrawn=self._redrawn(plan, mask),
            reference=self._encoded(plan, plan.reference.picture) if plan.reference else None,
            identities=self._identities(plan),
            controls=tuple(self._control(plan, use, steps) for use in plan.controls),
            anchor=self._anchor(plan, steps),
            areas=self._areas(plan),
        )

    def _open(self, plan: RenderPlan, name: str) -> Picture:
        return fitted(self._pictures.open(name), plan.width, plan.height)

    def _mask(self, plan: RenderPlan) -> NDArray[np.float32] | None:
        if plan.mask is None:
            return None
        return feathered(white(self._open(plan, plan.mask.picture)), plan.mask.feather)

    def _redrawn(self, plan: RenderPlan, mask: NDArray[np.float32] | None) -> Redrawn | None:
        if plan.start is None or mask is None:
            return None
        return Redrawn(self._open(plan, plan.start.picture), mask)

    def _encoded(self, plan: RenderPlan, name: str) -> Latents:
        key = (name, plan.width, plan.height)
        known = self._latents.get(key)
        if known is None:
            pixels = signed(self._open(plan, name))[None]
            known = self._engine.run("vae_encoder", {"pictures": pixels})["latents"][0]
            self._latents.keep({key: known})
        return known

    def _control(self, plan: RenderPlan, use: ControlUse, steps: int) -> Control:
        hint = unsigned(self._open(plan, use.picture))
        return Control(use.kind, hint, use.weight, window(steps, use.begin, use.end))

    def _anchor(self, plan: RenderPlan, steps: int) -> Anchor | None:
        use = plan.anchor
        if use is None or use.strength == 0:
            return None
        latents = self._encoded(plan, use.picture)
        noise = noise_of(ANCHOR_KEY + int(use.picture[:15], 16), latents.shape)
        return Anchor(latents, noise, use.strength, window(steps, use.begin, use.end))

    def _identities(self, plan: RenderPlan) -> Identities | None:
        spec = self._manifest.identity
        if not plan.identities or spec is None:
            return None
        self._look([name for use in plan.identities for name in use.references])
        length = lcm(*(len(use.references) for use in plan.identities))
        shown, hidden = zip(*(self._of(use, length) for use in plan.identities), strict=True)
        return Identities(
            np.stack(shown),
            np.stack(hidden),
            np.stack([scales(use, spec) for use in plan.identities]),
            np.stack([self._area(plan, use.mask) for use in plan.identities]),
        )

    def _of(self, use: IdentityUse, length: int) -> tuple[Tokens, Tokens]:
        """All references' tokens in a row; each as often, so that all identities have as many."""
        times = length // len(use.references)
        shown = [self._known(name) for name in use.references] * times
        return np.concatenate(shown), np.concatenate([self._known("")] * length)

    def _areas(self, plan: RenderPlan) -> NDArray[np.float32] | None:
        if plan.style_strategy is not StyleStrategy.REGIONAL:
            return None
        return np.stack([self._area(plan, use.mask) for use in plan.styles])

    def _area(self, plan: RenderPlan, mask: str | None) -> NDArray[np.float32]:
        stride = self._manifest.latent_stride
        if mask is None:
            return np.ones((plan.height // stride, plan.width // stride), np.float32)
        return coverage(white(self._open(plan, mask)), stride)

    def _known(self, name: str) -> Tokens:
        tokens = self._tokens.get(name)
        if tokens is None:
            tokens = self._looked([name])[0]
            self._tokens.keep({name: tokens})
        return tokens

    def _look(self, names: Sequence[str]) -> None:
        """Encode what is new among them, and no picture at all, in one call."""
        new = [name for name in dict.fromkeys(["", *names]) if self._tokens.get(name) is None]
        if new:
            self._tokens.keep(dict(zip(new, self._looked(new), strict=True)))

    def _looked(self, names: Sequence[str]) -> NDArray[np.float32]:
        """Tokens by name; the empty name is that of no picture."""
        spec = self._manifest.vision
        if spec is None:
            raise InvalidRequest("identities", "the bundle has no image encoder")
        blank = np.zeros((3, spec.side, spec.side), np.float32)
        pixels = [
            clip_pixels(self._pictures.open(name), spec.side, spec.mean, spec.std)
            if name
            else blank
            for name in names
        ]
        shown = np.array([float(bool(name)) for name in names], np.float32)
        inputs: dict[str, NDArray[Any]] = {"pixels": np.stack(pixels), "shown": shown}
        return run_in_batches(self._engine, "image_encoder", inputs)["tokens"]


def scales(use: IdentityUse, spec: IdentitySpec) -> Float32[np.ndarray, " layer"]:
    """An identity's weight in each cross-attention that hears it."""
    by_blocks = {IdentityBlocks.STYLE: spec.style, IdentityBlocks.LAYOUT: spec.layout}
    heard = np.zeros(len(spec.layers), np.float32)
    heard[list(by_blocks.get(use.blocks, range(len(spec.layers))))] = use.weight
    return heard
