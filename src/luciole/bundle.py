"""The contract between `export`, which writes a model's bundle, and `engines`, which read it."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from luciole.domain import BundleError, ControlKind, InvalidRequest

FORMAT_VERSION = 3
MANIFEST = "manifest.json"
GRAPHS = ("text_encoder", "denoiser", "vae_decoder")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TensorSpec(_Record):
    """A graph's input or output; an axis is a size or the name of what varies.

    `height/2` is half of what `height` is in the same call.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def sized(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape where axes have these sizes, and 1 where none is given."""
        return tuple(axis if isinstance(axis, int) else _size(axis, sizes) for axis in self.shape)


def _size(axis: str, sizes: Mapping[str, int]) -> int:
    base, _, part = axis.partition("/")
    return sizes.get(base, 1) // int(part or 1)


class BankLayer(_Record):
    """A layer that takes styles, and how wide it is."""

    path: str
    inputs: int
    outputs: int


class BankSpec(_Record):
    """Where styles go: the layers side by side, in the order of their columns.

    A place of the bank holds `rank` ranks; a row of a call mixes at most `styles` places. Graphs
    whose banks have the same `name` share one; rank and styles are those of all banks of a bundle.
    """

    name: str
    rank: int
    styles: int
    layers: tuple[BankLayer, ...]

    @property
    def widths(self) -> tuple[int, int]:
        """All layers' inputs together, and all their outputs."""
        return sum(one.inputs for one in self.layers), sum(one.outputs for one in self.layers)


class GraphSpec(_Record):
    """One ONNX graph and how to call it.

    `inputs` come with every call. A graph with a `bank` also takes `bank_a` and `bank_b`, which
    live with the engine.
    """

    file: str
    weights: tuple[str, ...] = ()
    """Files beside it that hold its weights; graphs of one model share them."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    bank: BankSpec | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """All that must be there to load it."""
        return (self.file, *self.weights)

    @property
    def resident(self) -> tuple[TensorSpec, ...]:
        """What the engine itself adds to the inputs of a call."""
        if self.bank is None:
            return ()
        inputs, outputs = self.bank.widths
        place = ("slots", self.bank.rank)
        return (
            TensorSpec(name="bank_a", dtype="float32", shape=(*place, inputs)),
            TensorSpec(name="bank_b", dtype="float32", shape=(*place, outputs)),
        )


class Sizes(_Record):
    """Picture sizes in pixels that the denoiser takes, and how many rows in one call."""

    default: int
    min: int
    max: int
    stride: int
    max_batch: int

    def check(self, field: str, value: int) -> None:
        """InvalidRequest naming the field unless the size is a multiple of the stride in range."""
        if value % self.stride or not self.min <= value <= self.max:
            raise InvalidRequest(
                field,
                f"{value} must be a multiple of {self.stride} from {self.min} to {self.max} pixels",
            )


class TextEncoding(_Record):
    """Special tokens of one tokenizer."""

    folder: str
    bos: int
    eos: int
    pad: int


class PromptSettings(_Record):
    """How words become ids: windows of `window` tokens, BOS and EOS among them."""

    window: int = Field(default=77, ge=3)
    tokenizers: tuple[TextEncoding, TextEncoding]
    zeros_for_empty_negative: bool


class StyleSpec(_Record):
    """A style that comes with the bundle; `places` of a bank are what its rank needs."""

    file: str
    trigger: str
    licence: str
    places: int
    words: bool
    """Whether it changes how words are understood."""


class VisionSpec(_Record):
    """What the image encoder looks at: a square of `side` pixels, normalised by channel."""

    side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class LooksSpec(_Record):
    """What the encoder of looks sees: a square of `side` pixels in -1..1."""

    side: int


class IdentitySpec(_Record):
    """An identity adapter: the cross-attentions that hear it, in the order of their scales.

    `style` and `layout` are those of them where style or layout is decided (arXiv:2404.02733).
    """

    layers: tuple[str, ...]
    style: tuple[int, ...]
    layout: tuple[int, ...]
    licence: str


class ControlSpec(_Record):
    """A control net; without `words` it answers prompt and negative prompt alike."""

    graph: str
    words: bool
    licence: str


class Manifest(_Record):
    """What manifest.json says; `files` maps every other file to its SHA-256."""

    format_version: int
    name: str
    licence: str
    created_by: dict[str, str]
    source: str
    recipe: str = ""
    """What it was made of, and by which code (luciole.recipe); empty where nobody says."""
    graphs: dict[str, GraphSpec]
    files: dict[str, str]
    tokenizers: tuple[str, ...]
    scheduler: dict[str, Any]
    sizes: Sizes
    latent_channels: int
    latent_stride: int
    prompt: PromptSettings
    styles: dict[str, StyleSpec]
    vision: VisionSpec | None = None
    looks: LooksSpec | None = None
    identity: IdentitySpec | None = None
    controls: dict[ControlKind, ControlSpec] = {}

    @property
    def banks(self) -> tuple[BankSpec, ...]:
        """Each bank once, the denoiser's first."""
        ordered = sorted(self.graphs.items(), key=lambda item: item[0] != "denoiser")
        found = {spec.bank.name: spec.bank for _, spec in ordered if spec.bank is not None}
        return tuple(found.values())


@dataclass(frozen=True)
class Bundle:
    """An exported model in a folder, found whole when it was opened."""

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Read and verify; BundleError names the file that is missing, altered or unreadable."""
        bundle = cls.read(path)
        bundle.verify()
        return bundle

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """The same without a look at the files, for whoever compares their hashes itself."""
        return cls(Path(path), _read_manifest(Path(path)))

    def verify(self) -> None:
        """Compare every file with its hash, and the graphs with the list that engines need."""
        for name, expected in self.manifest.files.items():
            if sha256(self.file(name)) != expected:
                raise BundleError(name, "does not match its hash; export the model again")
        for graph in (*GRAPHS, *(one.graph for one in self.manifest.controls.values())):
            if graph not in self.manifest.graphs:
                raise BundleError(MANIFEST, f"graphs has no {graph!r}")
        for what, file in self._parts():
            if file not in self.manifest.files:
                raise BundleError(file, f"{what} is not among the hashed files")

    def _parts(self) -> Iterator[tuple[str, str]]:
        """What the manifest speaks of, and the file that it must have."""
        for graph, spec in self.manifest.graphs.items():
            for file in spec.files:
                yield f"graph {graph!r}", file
        for name, style in self.manifest.styles.items():
            yield f"style {name!r}", style.file
        for encoding in self.manifest.prompt.tokenizers:
            yield "the tokenizer", f"{encoding.folder}/tokenizer.json"

    def file(self, name: str) -> Path:
        """Where a listed file lies; BundleError if it is outside the folder or not there."""
        listed = PurePosixPath(name)
        if listed.is_absolute() or ".." in listed.parts or "\\" in name:
            raise BundleError(name, "leads out of the bundle's folder")
        path = self.path / listed
        if not path.resolve().is_relative_to(self.path.resolve()):
            raise BundleError(name, "leads out of the bundle's folder")
        if not path.is_file():
            raise BundleError(name, "is missing")
        return path

    def graph_file(self, graph: str) -> Path:
        """Where the ONNX file of a graph lies."""
        return self.file(self.manifest.graphs[graph].file)


def _read_manifest(path: Path) -> Manifest:
    try:
        text = (path / MANIFEST).read_bytes()
    except OSError as error:
        raise BundleError(MANIFEST, f"is missing or unreadable in {path.name!r}") from error
    _check_version(text)
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BundleError(MANIFEST, f"{place}: {first['msg']}".removeprefix(": ")) from error
    return manifest


def _check_version(text: bytes) -> None:
    """Before anything else: another version's fields would only confuse."""
    try:
        told = json.loads(text)
    except ValueError as error:
        raise BundleError(MANIFEST, f"is not JSON: {error}") from error
    found = told.get("format_version") if isinstance(told, dict) else None
    if found != FORMAT_VERSION:
        words = f"has format {found}, this library reads {FORMAT_VERSION}"
        raise BundleError(MANIFEST, f"{words}; export the model again")


def sha256(path: Path) -> str:
    """The hash of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_hash(folder: Path) -> str:
    """One SHA-256 over names and hashes of all files; a manifest's `source` is its model's."""
    total = hashlib.sha256()
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        total.update(f"{file.relative_to(folder).as_posix()} {sha256(file)}\n".encode())
    return total.hexdigest()


def hashes(folder: Path) -> dict[str, str]:
    """The hash of every file under a folder except the manifest, by its path with slashes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    named = ((path.relative_to(folder).as_posix(), path) for path in files)
    return {name: sha256(path) for name, path in named if name != MANIFEST}


@contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """A temporary sibling that takes the place of `path` if the block succeeds, and goes if not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sibling = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield sibling
        sibling.chmod(0o755)
        _take_place(sibling, path)
    finally:
        shutil.rmtree(sibling, ignore_errors=True)


def _take_place(new: Path, path: Path) -> None:
    """Rename; what was there before is moved aside first, for a folder replaces only emptiness."""
    old = new.with_name(f"{new.name}.old")
    if path.exists():
        path.rename(old)
    try:
        new.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def write_manifest(folder: Path, fields: Mapping[str, Any]) -> Manifest:
    """Hash what lies in the folder and write manifest.json beside it, flushed to the disk."""
    manifest = Manifest(format_version=FORMAT_VERSION, files=hashes(folder), **fields)
    with (folder / MANIFEST).open("w") as file:
        file.write(manifest.model_dump_json(indent=2))
        file.flush()
        os.fsync(file.fileno())
    return manifest
