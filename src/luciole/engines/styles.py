"""Styles, brought into an engine's bank when a picture asks for them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from luciole.bundle import Bundle
from luciole.domain import BundleError, InvalidRequest, StyleStrategy, StyleUse
from luciole.engines.bank import Factors, Mix, Style, StyleBank, no_style


@dataclass(frozen=True)
class Shelved:
    """A style that can be read: its name in the bank, its places there, what it changes."""

    key: str
    places: int
    words: bool


class StyleShelf(Protocol):
    """Where styles come from."""

    def find(self, name: str) -> Shelved:
        """InvalidRequest names what there is where there is no such style."""
        ...

    def read(self, name: str) -> Style:
        """From its file; BundleError if that is no style."""
        ...


class BundleShelf:
    """The styles that come with a bundle."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def find(self, name: str) -> Shelved:
        """As the manifest says."""
        known = self._bundle.manifest.styles
        if name not in known:
            there = ", ".join(known) or "none"
            raise InvalidRequest("styles", f"{name!r} is not here; there are {there}")
        return Shelved(name, known[name].places, known[name].words)

    def read(self, name: str) -> Style:
        """From its file; BundleError if that is no style."""
        spec = self._bundle.manifest.styles[name]
        return read_style(self._bundle.file(spec.file), spec.file)


class Styles:
    """By name; reading a file is the price of the first use alone."""

    def __init__(
        self, bundle: Bundle, bank: StyleBank | None, shelf: StyleShelf | None = None
    ) -> None:
        """`shelf`: where styles come from, if not from the bundle alone."""
        self._bundle, self._bank = bundle, bank
        self._shelf = shelf or BundleShelf(bundle)

    def check(
        self, uses: Sequence[StyleUse], strategy: StyleStrategy = StyleStrategy.SUM
    ) -> list[Shelved]:
        """InvalidRequest names a style that is not here, or a mix that is too large for a row."""
        if not uses:
            return []
        if self._bank is None:
            raise InvalidRequest("styles", "this engine serves none")
        found = [self._shelf.find(use.name) for use in uses]
        names = [use.name for use in uses]
        if len(set(names)) < len(names):
            raise InvalidRequest("styles", "names a style twice; give it one weight")
        needed, most = sum(one.places for one in found), self._bank.spec.styles
        if needed > most:
            raise InvalidRequest("styles", f"the mix needs {needed} places, a picture has {most}")
        if strategy is not StyleStrategy.SUM:
            for use, one in zip(uses, found, strict=True):
                if one.words:
                    words = f"{use.name!r} changes how words are understood, which only sum can do"
                    raise InvalidRequest("style_strategy", words)
        return found

    @contextmanager
    def hold(self, uses: Sequence[StyleUse]) -> Iterator[Mix | None]:
        """The mix for the rows of one picture, unchanged inside this block.

        None where no graph takes styles. Busy where too many other styles are being used.
        """
        found = self.check(uses)
        banks = self._bundle.manifest.banks
        if self._bank is None or not banks:
            yield no_style(banks[0]) if banks else None
            return
        names = {one.key: use.name for one, use in zip(found, uses, strict=True)}
        mix = [(one.key, use.weight) for one, use in zip(found, uses, strict=True)]
        heard = any(one.words and use.weight for one, use in zip(found, uses, strict=True))
        with self._bank.hold_loaded(mix, lambda key: self._shelf.read(names[key])) as held:
            yield replace(held, heard=tuple(mix)) if heard else held


def write_style(path: Path, style: Style) -> None:
    """As engines read it: fp16, `<layer>.down` [rank, in] and `<layer>.up` [out, rank]."""
    tensors = {}
    for layer, factors in style.items():
        tensors[f"{layer}.down"] = factors.down.astype(np.float16)
        tensors[f"{layer}.up"] = factors.up.astype(np.float16)
    save_file(tensors, path)


def read_style(path: Path, name: str) -> Style:
    """What `write_style` wrote, in fp32; BundleError with the file's name if it is something else.

    `name` is the file's within the bundle.
    """
    try:
        tensors = {key: value.astype(np.float32) for key, value in load_file(path).items()}
    except SafetensorError as error:
        raise BundleError(name, f"is not a safetensors file: {error}") from error
    layers = {key.rpartition(".")[0] for key in tensors}
    if set(tensors) != {f"{layer}.{part}" for layer in layers for part in ("down", "up")}:
        raise BundleError(name, "has keys that are no style's; export the model again")
    return {layer: Factors(tensors[f"{layer}.down"], tensors[f"{layer}.up"]) for layer in layers}
