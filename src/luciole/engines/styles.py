"""The styles of a bundle, brought into an engine's bank when a picture asks for them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from luciole.bundle import Bundle
from luciole.domain import BundleError, InvalidRequest, StyleUse
from luciole.engines.bank import Factors, Mix, Style, StyleBank, no_style


class Styles:
    """By name; reading a file is the price of the first use alone."""

    def __init__(self, bundle: Bundle, bank: StyleBank | None) -> None:
        self._bundle, self._bank = bundle, bank

    def check(self, uses: Sequence[StyleUse]) -> None:
        """InvalidRequest names a style that is not here, or a mix that is too large for a row."""
        if not uses:
            return
        if self._bank is None:
            raise InvalidRequest("styles", "this engine serves none")
        known = self._bundle.manifest.styles
        for use in uses:
            if use.name not in known:
                there = ", ".join(known) or "none"
                raise InvalidRequest("styles", f"{use.name!r} is not here; there are {there}")
        names = [use.name for use in uses]
        if len(set(names)) < len(names):
            raise InvalidRequest("styles", "names a style twice; give it one weight")
        needed, most = sum(known[name].places for name in names), self._bank.spec.styles
        if needed > most:
            raise InvalidRequest("styles", f"the mix needs {needed} places, a picture has {most}")

    @contextmanager
    def hold(self, uses: Sequence[StyleUse]) -> Iterator[Mix | None]:
        """The mix for the rows of one picture, unchanged inside this block.

        None where no graph takes styles. Busy where too many other styles are being used.
        """
        self.check(uses)
        banks = self._bundle.manifest.banks
        if self._bank is None or not banks:
            yield no_style(banks[0]) if banks else None
            return
        mix = [(use.name, use.weight) for use in uses]
        with self._bank.hold_loaded(mix, self.read) as held:
            yield held

    def read(self, name: str) -> Style:
        """From its file; BundleError if that is no style."""
        spec = self._bundle.manifest.styles[name]
        return read_style(self._bundle.file(spec.file), spec.file)


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
