"""Averages over a run's whole past, and from a few of them any other: post-hoc EMA.

arXiv:2312.02696, section 3. The average at step t weighs the weights of step τ by (τ/t)^γ: it
grows longer as the run does. Its length is told as σ_rel, the standard deviation of that profile
relative to t; 0.05 to 0.1 is usual.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn

from luciole.diffusion.ema import trainable
from luciole.diffusion.sharded import put, whole

LONGEST = sqrt(1 / 12)
"""The length of an average that weighs the whole past evenly: the exponent is 0."""


def exponent(sigma_rel: float) -> float:
    """γ, the largest root of σ_rel² (γ + 2)² (γ + 3) = γ + 1."""
    if not 0 < sigma_rel <= LONGEST:
        raise ValueError(f"sigma_rel: {sigma_rel} must be above 0 and at most {LONGEST:.3f}")
    inverse = sigma_rel**-2
    roots = np.roots([1, 7, 16 - inverse, 12 - inverse])
    return float(roots.real.max())


@dataclass(frozen=True)
class Profile:
    """How the average at `step` weighs the past: p(τ) = (γ + 1) τ^γ / step^(γ + 1), τ ≤ step."""

    sigma_rel: float
    step: int

    @property
    def exponent(self) -> float:
        """γ."""
        return exponent(self.sigma_rel)

    def overlap(self, other: "Profile") -> float:
        """The integral over the product of two profiles."""
        early, late = sorted((self, other), key=lambda profile: profile.step)
        a, b = early.exponent, late.exponent
        height: float = (a + 1) * (b + 1) / (a + b + 1) * (early.step / late.step) ** b
        return height / late.step


def coefficients(held: Sequence[Profile], wanted: Profile) -> Float64[np.ndarray, " n"]:
    """By which the held averages sum up to the wanted one as nearly as can be, by least squares."""
    system = np.array([[one.overlap(other) for other in held] for one in held])
    aim = np.array([one.overlap(wanted) for one in held])
    scale = 1 / np.sqrt(system.diagonal())
    solved = np.linalg.lstsq(system * np.outer(scale, scale), aim * scale, rcond=1e-13)[0]
    found: Float64[np.ndarray, " n"] = solved * scale
    return found


def mismatch(held: Sequence[Profile], wanted: Profile, by: Float64[np.ndarray, " n"]) -> float:
    """‖sum − wanted‖ / ‖wanted‖ of the profiles: 0 where the reconstruction is exact."""
    system = np.array([[one.overlap(other) for other in held] for one in held])
    aim = np.array([one.overlap(wanted) for one in held])
    whole = wanted.overlap(wanted)
    return sqrt(max(0.0, float(by @ system @ by - 2 * by @ aim) + whole) / whole)


class PowerAverage:
    """The average of a module's trainable weights with one profile: average ← β·average + (1 −
    β)·weight with β = (1 − 1/t)^(γ + 1) at step t, so that the first step counts alone at first.
    """

    def __init__(self, module: nn.Module, sigma_rel: float) -> None:
        self.sigma_rel, self.steps, self._exponent = sigma_rel, 0, exponent(sigma_rel)
        self._weights = trainable(module)
        self.averages = {n: p.detach().clone() for n, p in self._weights.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights as they are now."""
        self.steps += 1
        kept = (1 - 1 / self.steps) ** (self._exponent + 1)
        averages = [self.averages[name] for name in self._weights]
        torch._foreach_lerp_(averages, list(self._weights.values()), 1 - kept)

    def state_dict(self) -> dict[str, Tensor | int]:
        """All that `load_state_dict` needs; every process asks where weights are sharded."""
        return {"steps": self.steps, **self.whole()}

    def whole(self) -> dict[str, Tensor]:
        """The averages by the weights' names."""
        return {name: whole(average) for name, average in self.averages.items()}

    def load_state_dict(self, state: dict[str, Tensor | int]) -> None:
        """Raise ValueError naming averages that are missing or that nothing follows."""
        wrong = set(state) ^ {"steps", *self.averages}
        if wrong:
            raise ValueError(f"averages that do not fit: {sorted(wrong)}")
        self.steps = int(state["steps"])
        for name, average in self.averages.items():
            put(average, torch.as_tensor(state[name]))
