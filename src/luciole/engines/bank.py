"""The styles that live with an engine: loaded once, mixed per sample, evicted when unused."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from luciole.bundle import BankSpec
from luciole.domain import Busy, InvalidRequest

LOADS = "loads.npy"
"""The file that counts how often each place of a bank's files was written to."""


@dataclass(frozen=True)
class Factors:
    """A layer's low-rank change `up @ down`, alpha over rank folded into `up`."""

    down: Float32[np.ndarray, "rank inputs"]
    up: Float32[np.ndarray, "outputs rank"]


Style = Mapping[str, Factors]
"""By the path of the layer."""


@dataclass(frozen=True)
class Mix:
    """What one sample's rows are told: places of the bank, and how much of each."""

    slots: NDArray[np.int64]
    weights: NDArray[np.float32]
    owners: NDArray[np.int64]
    """Which style of the mix each place belongs to; -1 for none."""
    heard: tuple[tuple[str, float], ...] = ()
    """The mix, where it changes how words are understood: it keeps encodings apart."""

    def only(self, style: int) -> "Mix":
        """The same places with the weights of one style alone; of none for -1."""
        alone = (self.owners == style) & (self.owners >= 0)
        return replace(self, weights=np.where(alone, self.weights, np.float32(0)))

    @property
    def styles(self) -> int:
        """How many there are."""
        return int(self.owners.max(initial=-1)) + 1


def no_style(spec: BankSpec) -> Mix:
    """The empty place as often as a row has places."""
    nothing = np.zeros(spec.styles, np.int64)
    return Mix(nothing, np.zeros(spec.styles, np.float32), nothing - 1)


@dataclass(frozen=True)
class Arrays:
    """All layers side by side: `a` is [place, rank, all inputs], `b` [place, rank, all outputs]."""

    a: NDArray[np.float32]
    b: NDArray[np.float32]


class StyleBank:
    """Low-rank factors of many styles in two arrays a graph; place 0 is empty for good.

    A place is the same in the arrays of all graphs, and a style has as many as its rank needs. A
    place that a running request holds is never written to, so loading is safe while steps are run.
    Thread-safe.
    """

    def __init__(
        self,
        specs: Sequence[BankSpec],
        slots: int,
        folder: Path | None = None,
        places: range | None = None,
    ) -> None:
        """`slots` places, the empty one among them; the specs agree on rank and styles.

        With a `folder` the arrays are files there, `<bank>_bank_a.npy` and `<bank>_bank_b.npy`,
        which another process on this machine can map: what is loaded here is there at once. Files
        that are there already are shared: each bank over them writes to its own `places` alone.
        """
        self.specs, self.spec = tuple(specs), specs[0]
        self.arrays = {spec.name: _arrays(spec, slots, folder) for spec in specs}
        self.loads = _zeros((slots,), folder, LOADS, np.int64)
        """How often each place was written to, for whoever keeps copies."""
        self._free = list(reversed(places or range(1, slots)))
        self._places: OrderedDict[str, tuple[int, ...]] = OrderedDict()
        self._held: dict[str, int] = {}
        self._lock = threading.Lock()

    def resident(self, bank: str) -> dict[str, NDArray[np.float32]]:
        """The arrays of one bank under the names of the graphs' inputs."""
        return {"bank_a": self.arrays[bank].a, "bank_b": self.arrays[bank].b}

    @property
    def loaded(self) -> tuple[str, ...]:
        """Names, the longest unused first."""
        with self._lock:
            return tuple(self._places)

    def load(self, name: str, style: Style) -> None:
        """Put a style into the bank, or in place of the one of its name that nobody is using.

        InvalidRequest names a layer that the model has not, or one whose shape is another; Busy
        where every place is in use. Nothing is changed then.
        """
        with self._lock:
            if self._held.get(name):
                raise Busy("styles", f"{name!r} is being used and cannot be replaced")
            self._load(name, style, keep=())

    def evict(self, name: str) -> None:
        """Forget a style; Busy while a request uses it, InvalidRequest if it is not there."""
        with self._lock:
            if name not in self._places:
                raise InvalidRequest("styles", f"there is no style {name!r}")
            if self._held.get(name):
                raise Busy("styles", f"{name!r} is being used")
            self._forget(name)

    def hold(self, mix: Sequence[tuple[str, float]]) -> AbstractContextManager[Mix]:
        """The places of a mix of (style, weight); they stay as they are inside this block.

        InvalidRequest for a style that is not loaded, or a mix that needs more places than a row
        may have.
        """
        return self.hold_loaded(mix, _not_loaded)

    @contextmanager
    def hold_loaded(
        self, mix: Sequence[tuple[str, float]], read: Callable[[str], Style]
    ) -> Iterator[Mix]:
        """The same; a style that is not there yet is read and loaded first."""
        with self._lock:
            for name, _ in mix:
                if name not in self._places:
                    self._load(name, read(name), keep=[other for other, _ in mix])
            held = self._mix(mix)
            for name, _ in mix:
                self._held[name] = self._held.get(name, 0) + 1
                self._places.move_to_end(name)
        try:
            yield held
        finally:
            with self._lock:
                for name, _ in mix:
                    self._held[name] -= 1

    def _load(self, name: str, style: Style, keep: Sequence[str]) -> None:
        self._refuse_strangers(name, style)
        count = max(-(-len(factors.down) // self.spec.rank) for factors in style.values())
        packed = {spec.name: _packed(name, style, spec, count) for spec in self.specs}
        places = list(self._room(name, count, keep))
        for bank, (a, b) in packed.items():
            self.arrays[bank].a[places], self.arrays[bank].b[places] = a, b
        self.loads[places] += 1
        self._places[name] = tuple(places)
        self._places.move_to_end(name)

    def _mix(self, mix: Sequence[tuple[str, float]]) -> Mix:
        slots: list[int] = []
        weights: list[float] = []
        owners: list[int] = []
        for style, (name, weight) in enumerate(mix):
            if not np.isfinite(weight):
                raise InvalidRequest("styles", f"the weight of {name!r} is not a finite number")
            slots += self._places[name]
            weights += [weight] * len(self._places[name])
            owners += [style] * len(self._places[name])
        spare = self.spec.styles - len(slots)
        if spare < 0:
            most = f"{self.spec.styles} places of rank {self.spec.rank}"
            raise InvalidRequest("styles", f"the mix needs {len(slots)}, there are {most}")
        return Mix(
            np.array(slots + [0] * spare, np.int64),
            np.array(weights + [0] * spare, np.float32),
            np.array(owners + [-1] * spare, np.int64),
        )

    def _room(self, name: str, count: int, keep: Sequence[str]) -> tuple[int, ...]:
        """Free places; the longest unused styles go where there are too few."""
        own = self._places.get(name, ())
        busy = {name, *keep, *(other for other, users in self._held.items() if users)}
        idle = [other for other in self._places if other not in busy]
        within_reach = len(self._free) + len(own) + sum(len(self._places[o]) for o in idle)
        if count > within_reach:
            raise Busy("styles", f"{name!r} needs {count} places, {within_reach} are not in use")
        if own:
            self._forget(name)
        while len(self._free) < count:
            self._forget(idle.pop(0))
        return tuple(self._free.pop() for _ in range(count))

    def _forget(self, name: str) -> None:
        self._free += reversed(self._places.pop(name))

    def _refuse_strangers(self, name: str, style: Style) -> None:
        known = {layer.path for spec in self.specs for layer in spec.layers}
        if strangers := sorted(set(style) - known):
            raise InvalidRequest("styles", f"{name!r} changes {strangers[0]}, which takes none")
        if not style:
            raise InvalidRequest("styles", f"{name!r} is empty")


def _packed(
    name: str, style: Style, spec: BankSpec, count: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The style's ranks in chunks of a place's, every layer in its columns."""
    inputs, outputs = spec.widths
    a = np.zeros((count * spec.rank, inputs), np.float32)
    b = np.zeros((count * spec.rank, outputs), np.float32)
    at_in = at_out = 0
    for layer in spec.layers:
        if layer.path in style:
            factors = style[layer.path]
            _check(name, layer.path, factors, layer.inputs, layer.outputs)
            a[: len(factors.down), at_in : at_in + layer.inputs] = factors.down
            b[: len(factors.down), at_out : at_out + layer.outputs] = factors.up.T
        at_in, at_out = at_in + layer.inputs, at_out + layer.outputs
    return a.reshape(count, spec.rank, inputs), b.reshape(count, spec.rank, outputs)


def _arrays(spec: BankSpec, slots: int, folder: Path | None) -> Arrays:
    inputs, outputs = spec.widths
    return Arrays(
        _zeros((slots, spec.rank, inputs), folder, f"{spec.name}_bank_a.npy"),
        _zeros((slots, spec.rank, outputs), folder, f"{spec.name}_bank_b.npy"),
    )


def _not_loaded(name: str) -> Style:
    raise InvalidRequest("styles", f"{name!r} is not loaded")


def _zeros(
    shape: tuple[int, ...], folder: Path | None, file: str, dtype: type[Any] = np.float32
) -> NDArray[Any]:
    if folder is None:
        return np.zeros(shape, dtype)
    folder.mkdir(parents=True, exist_ok=True)
    there = (folder / file).exists()
    mapped: NDArray[Any] = np.lib.format.open_memmap(
        folder / file, "r+" if there else "w+", dtype, None if there else shape
    )
    if mapped.shape != shape:
        raise ValueError(f"{file}: has shape {mapped.shape}, this bank's is {shape}")
    return mapped


def _check(name: str, path: str, factors: Factors, inputs: int, outputs: int) -> None:
    rank = len(factors.down)
    expected = (rank, inputs), (outputs, rank)
    found = factors.down.shape, factors.up.shape
    if found != expected:
        raise InvalidRequest("styles", f"{name!r} at {path} has shapes {found}, not {expected}")
    if not (np.isfinite(factors.down).all() and np.isfinite(factors.up).all()):
        raise InvalidRequest("styles", f"{name!r} at {path} is not finite")
