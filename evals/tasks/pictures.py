"""Whether pictures look like the world's, are as many-sided, and belong to their words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evals.distances import clip_distance, frechet, kernel_distance, precision, recall, vendi
from evals.errors import EvaluationError
from evals.features import load_clip, load_extractor
from evals.metric import Metric
from evals.sample import Images, Sample, reals
from evals.statistics import Scores
from evals.tasks.words import Words

DISTANCES = (
    (Metric("picture/fid", "lower", "FID: arXiv:1706.08500", 1.0), frechet),
    (Metric("picture/kid", "lower", "KID: arXiv:1801.01401", 0.01), kernel_distance),
    (Metric("picture/cmmd", "lower", "CMMD: arXiv:2401.09603", 0.1), clip_distance),
    (
        Metric("picture/precision", "higher", "precision: arXiv:1904.06991", 0.05, share=True),
        precision,
    ),
    (Metric("picture/recall", "higher", "recall: arXiv:1904.06991", 0.05, share=True), recall),
)


@dataclass(frozen=True)
class Likeness:
    """Distances from the real renders of the same prompts, over an extractor's features."""

    prompts: int
    features: str

    unit = 1
    ceiling = False

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The distances."""
        return tuple(metric for metric, _ in DISTANCES)

    def samples(self, seed: int, size: int) -> list[Sample]:
        """Those of `Words`, which are then drawn only once."""
        return Words(self.prompts, judge="").samples(seed, size)

    def scores(self, samples: Sequence[Sample], pictures: Images) -> Mapping[str, Scores]:
        """See `evals.distances`."""
        extract = load_extractor(self.features)
        real = extract(reals(samples))
        drawn = extract(pictures)
        return {metric.name: distance(drawn, real) for metric, distance in DISTANCES}


@dataclass(frozen=True)
class ClipScore:
    """100 · max(cos, 0) between a picture and its words; `clip` names its folders."""

    prompts: int
    clip: Mapping[str, str]
    floor: float = 0.5
    """Real renders that must find their own words among all prompts, else this CLIP knows nothing
    of such pictures and is refused."""

    unit = 1
    ceiling = True
    metrics = (Metric("picture/clip_score", "higher", "CLIPScore: arXiv:2104.08718", 1.0),)

    def samples(self, seed: int, size: int) -> list[Sample]:
        """Those of `Words`."""
        return Words(self.prompts, judge="").samples(seed, size)

    def scores(self, samples: Sequence[Sample], pictures: Images) -> Mapping[str, Scores]:
        """EvaluationError where the CLIP cannot tell real renders apart."""
        pair, prompts = load_clip(**self.clip), [sample.prompt for sample in samples]
        found = pair.retrieved(prompts, reals(samples))
        if found < self.floor:
            words = f"finds {found:.0%} of real renders' words, less than {self.floor:.0%}"
            raise EvaluationError("clip", f"{words}; name a CLIP whose towers belong together")
        return {"picture/clip_score": 100 * pair.scores(prompts, pictures).clip(min=0)}


@dataclass(frozen=True)
class Diversity:
    """How many different pictures the seeds of one prompt give."""

    prompts: int
    seeds: int
    features: str

    ceiling = False
    metrics = (Metric("picture/diversity", "higher", "Vendi score: arXiv:2210.02410", 0.05),)

    @property
    def unit(self) -> int:
        """The seeds of a prompt."""
        return self.seeds

    def samples(self, seed: int, size: int) -> list[Sample]:
        """Every prompt of `Words` with seeds of its own; its first is the one that `Words` has."""
        return [
            Sample(one.prompt, one.seed + 1_000_003 * k)
            for one in Words(self.prompts, judge="").samples(seed, size)
            for k in range(self.seeds)
        ]

    def scores(self, samples: Sequence[Sample], pictures: Images) -> Mapping[str, Scores]:
        """One a prompt."""
        seen = load_extractor(self.features)(pictures)
        return {"picture/diversity": vendi(seen.reshape(-1, self.seeds, seen.shape[1]))}
