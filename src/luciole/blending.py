"""How the styles of one picture come together: at once, by turns, or each by itself."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from luciole.domain import StyleStrategy
from luciole.engines.bank import Mix

Areas = Float32[np.ndarray, "style height width"]


@dataclass(frozen=True)
class Blend:
    """A mix and its strategy; `areas` are where each style of a regional one acts, 0 to 1."""

    mix: Mix | None
    strategy: StyleStrategy = StyleStrategy.SUM
    turn: int = 1
    areas: Areas | None = None

    def voices(self, step: int) -> list[Mix | None]:
        """What the denoiser is asked in this step; `together` makes one answer of the answers."""
        if self.mix is None or self.mix.styles == 0:
            return [self.mix]
        each: list[Mix | None] = [self.mix.only(style) for style in range(self.mix.styles)]
        match self.strategy:
            case StyleStrategy.SUM:
                return [self.mix]
            case StyleStrategy.SWITCH:
                return [each[step // self.turn % len(each)]]
            case StyleStrategy.COMPOSITE:
                return each
            case StyleStrategy.REGIONAL:
                return [*each, self.mix.only(-1)]

    def together(
        self, answers: Float32[np.ndarray, "voice channel height width"]
    ) -> Float32[np.ndarray, "channel height width"]:
        """The mean, or each style's answer in its area and no style's where there is none."""
        if len(answers) == 1:
            return np.asarray(answers[0], np.float32)
        if self.areas is None:
            return np.asarray(answers.mean(axis=0), np.float32)
        # Where areas overlap, styles share; what is left of a place has no style.
        shares = self.areas / np.maximum(self.areas.sum(axis=0), 1)
        rest = 1 - shares.sum(axis=0, keepdims=True)
        weights = np.concatenate([shares, rest])[:, None]
        return np.asarray((weights * answers).sum(axis=0), np.float32)
