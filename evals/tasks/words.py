"""Prompt adherence: are the words of a prompt in the picture, each alone and all together?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evals.adherence import adherence
from evals.judge import load_judge
from evals.metric import Metric
from evals.prompts import MEASURED, held_out_prompts
from evals.sample import Images, Sample
from evals.statistics import Scores
from luciole.storyworld import Split, render

PAPER = "attribute accuracy: GenEval, arXiv:2310.11513, section 3"
TOGETHER = {
    "looks": ("hair_color", "outfit_color"),
    "place": ("setting", "weather", "time"),
    "together": MEASURED,
}
"""Compositions: right only where each of these words is."""


@dataclass(frozen=True)
class Words:
    """Prompts for scenes of a split; the judge was trained on real renders alone."""

    prompts: int
    judge: str
    split: Split = "held_out"
    name: str = "words"

    unit = 1
    ceiling = True

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All words, each kind, and compositions."""
        names = ("all", *MEASURED, *TOGETHER)
        return tuple(Metric(f"{self.name}/{n}", "higher", PAPER, 0.02, share=True) for n in names)

    def samples(self, seed: int, size: int) -> list[Sample]:
        """One picture a prompt."""
        return [
            Sample(
                prompt=prompt.text,
                seed=seed + i,
                real=render(prompt.scene, size, size, maps=False).image,
                promised=prompt.promised,
            )
            for i, prompt in enumerate(held_out_prompts(self.prompts, self.split))
        ]

    def scores(self, samples: Sequence[Sample], pictures: Images) -> Mapping[str, Scores]:
        """Hits by kind; `all` is their mean in each picture."""
        seen = adherence(samples, pictures, load_judge(Path(self.judge))).seen
        hits = {
            kind: np.array(
                [one[kind] == s.promised[kind] for one, s in zip(seen, samples, strict=True)], float
            )
            for kind in MEASURED
        }
        found = {"all": np.mean(list(hits.values()), axis=0), **hits}
        found |= {
            name: np.prod([hits[k] for k in kinds], axis=0) for name, kinds in TOGETHER.items()
        }
        return {f"{self.name}/{name}": scores for name, scores in found.items()}
