"""What a bundle's denoiser can be guided by, and what sees: adapters, control nets, encoders."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from export.denoisers import control_net, denoisers
from export.folder import ModelFolder
from export.graphs import (
    Graph,
    image_encoder,
    looks_encoder,
    text_encoder,
    vae_decoder,
    vae_encoder,
)
from luciole.adapters.control import load_control
from luciole.adapters.identity import IdentityAdapter
from luciole.bundle import ControlSpec, IdentitySpec, LooksSpec, VisionSpec
from luciole.domain import ControlKind, LucioleError
from luciole.models.guided import style_and_layout
from luciole.models.looks import SIDE, LooksEncoder
from luciole.models.vision import MEAN, STD, load_image_encoder

ADAPTER = "*.safetensors"


class GuideError(LucioleError):
    """A folder holds no adapter, control net or image encoder that fits; `field` is the folder."""

    code = "invalid_guide"


@dataclass(frozen=True)
class Guides:
    """Folders of what guides; None and empty where there is none.

    `identity` holds one IP-Adapter file; the image encoder that it looks through is `vision`.
    `looks` holds the classifier by which drawn characters are compared with their references.
    `anchors`: also export the graphs with which a frame reads another one's attention.
    """

    vision: Path | None = None
    looks: Path | None = None
    identity: Path | None = None
    controls: Mapping[ControlKind, Path] = field(default_factory=dict)
    anchors: bool = False

    @property
    def folders(self) -> tuple[Path, ...]:
        """Of all that is read."""
        named = (self.vision, self.looks, self.identity, *self.controls.values())
        return tuple(folder for folder in named if folder is not None)


@dataclass(frozen=True)
class ReadGuides:
    """The graphs of a model with everything that guides it, and what the manifest says of it."""

    graphs: list[Graph]
    fields: dict[str, Any]


def all_graphs(folder: ModelFolder, guides: Guides) -> ReadGuides:
    """Of a model and its guides; GuideError names the folder that does not fit."""
    # Adapters are read first: they want the denoiser as it was, before it can take styles.
    adapter = None if guides.identity is None else _adapter(guides.identity, folder)
    controls = {kind: _control(path, folder) for kind, path in guides.controls.items()}
    vision = None if guides.vision is None else _vision(guides.vision)
    if adapter is not None and vision is None:
        raise GuideError("vision", "an identity needs the image encoder that it looks through")
    made = [text_encoder(folder), vae_decoder(folder), vae_encoder(folder)]
    if vision is not None:
        made.append(image_encoder(vision, adapter, folder.unet.config.cross_attention_dim))
    if guides.looks is not None:
        made.append(looks_encoder(_looks(guides.looks)))
    nets = {kind: control_net(folder, kind, control) for kind, control in controls.items()}
    made += [*nets.values(), *denoisers(folder, adapter, bool(controls), guides.anchors)]
    return ReadGuides(made, _fields(guides, vision, adapter, nets))


def _fields(
    guides: Guides,
    vision: Any,
    adapter: IdentityAdapter | None,
    nets: Mapping[ControlKind, Graph],
) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if vision is not None:
        fields["vision"] = VisionSpec(side=vision.config.image_size, mean=MEAN, std=STD)
    if guides.looks is not None:
        fields["looks"] = LooksSpec(side=SIDE)
    if adapter is not None and guides.identity is not None:
        style, layout = style_and_layout(adapter.places)
        fields["identity"] = IdentitySpec(
            layers=tuple(adapter.places),
            style=style,
            layout=layout,
            licence=licence_of(guides.identity),
        )
    fields["controls"] = {
        kind: ControlSpec(
            graph=net.name,
            words=any(tensor.name == "text_states" for tensor in net.spec.inputs),
            licence=licence_of(guides.controls[kind]),
        )
        for kind, net in nets.items()
    }
    return fields


def _adapter(folder: Path, model: ModelFolder) -> IdentityAdapter:
    files = sorted(folder.glob(ADAPTER))
    if len(files) != 1:
        raise GuideError(str(folder), f"holds {len(files)} adapter files, expected one")
    try:
        return IdentityAdapter.load(files[0], model.unet).eval().requires_grad_(False)
    except ValueError as error:
        raise GuideError(files[0].name, str(error)) from error


def _control(folder: Path, model: ModelFolder) -> Any:
    try:
        return load_control(str(folder), model.unet).eval().requires_grad_(False)
    except (ValueError, OSError) as error:
        raise GuideError(str(folder), str(error)) from error


def _vision(folder: Path) -> Any:
    try:
        return load_image_encoder(str(folder)).eval().requires_grad_(False)
    except (ValueError, OSError) as error:
        raise GuideError(str(folder), str(error)) from error


def _looks(folder: Path) -> LooksEncoder:
    try:
        return LooksEncoder.load(folder).requires_grad_(False)
    except (ValueError, TypeError, KeyError, RuntimeError, OSError) as error:
        raise GuideError(str(folder), f"holds no encoder of looks: {error}") from error


def licence_of(folder: Path) -> str:
    """`license:` in the front matter of the card beside the weights, or 'unknown'."""
    card = folder / "README.md"
    lines = card.read_text(encoding="utf-8").splitlines() if card.is_file() else []
    if lines[:1] == ["---"]:
        for line in lines[1 : lines.index("---", 1) if "---" in lines[1:] else 1]:
            if line.startswith("license:"):
                return line.removeprefix("license:").strip()
    return "unknown"
