"""Renders, scores and compares: everything between a configuration and a report."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from evals.cache import RenderCache
from evals.checkpoint import Checkpoint
from evals.compare import Measured, Row, rows
from evals.cost import METRICS as COST
from evals.cost import Cost
from evals.errors import EvaluationError
from evals.gate import Finding, Gate, Verdict, verdict
from evals.metric import Metric, checked
from evals.painters.choice import painter_of
from evals.painters.painter import Painter, drawn, refuse_mixed
from evals.sample import Images, Sample, Settings, reals
from evals.statistics import FEWEST
from evals.tasks.task import Task


@dataclass(frozen=True)
class Plan:
    """What is to be measured, on what, and what must come out."""

    checkpoints: Sequence[Checkpoint]
    tasks: Mapping[str, Task]
    settings: Settings
    seed: int
    cache: Path
    confidence: float
    gate: Gate | None = None
    cost: Cost | None = None

    def check(self) -> None:
        """EvaluationError, before a model is opened, names what cannot be measured."""
        if not self.tasks and self.cost is None:
            raise EvaluationError("tasks", "this suite is empty; name at least one task")
        if not 0.5 < self.confidence < 1:
            raise EvaluationError("confidence", f"{self.confidence} is not between 0.5 and 1")
        names = [metric.name for metric in self.metrics]
        for name in names:
            if names.count(name) > 1:
                raise EvaluationError("tasks", f"{name} is measured twice; give one task a name")
        if self.gate is not None:
            self.gate.check(self.metrics, len(self.checkpoints))

    @property
    def metrics(self) -> list[Metric]:
        """Of all tasks."""
        found = [metric for task in self.tasks.values() for metric in task.metrics]
        return [*found, *(COST if self.cost is not None else ())]


@dataclass(frozen=True)
class Answers:
    """What every checkpoint drew for one task."""

    samples: Sequence[Sample]
    unit: int
    pictures: Mapping[str, Images] = field(repr=False)


@dataclass(frozen=True)
class Outcome:
    """All that a report tells."""

    measured: Sequence[Measured]
    rows: Sequence[Row]
    answers: Mapping[str, Answers]
    engines: Mapping[str, str]
    findings: Sequence[Finding]

    @property
    def verdict(self) -> Verdict | None:
        """Of the gate, where there is one."""
        return verdict(self.findings) if self.findings else None


def evaluate(plan: Plan) -> Outcome:
    """Draws what was not drawn yet; EvaluationError names whatever cannot be used."""
    plan.check()
    with ExitStack() as opened:
        painters = []
        for checkpoint in plan.checkpoints:
            painters.append(painter_of(checkpoint, plan.settings))
            opened.callback(painters[-1].close)
        refuse_mixed(painters)
        size = _size(painters, plan.settings)
        measured: list[Measured] = []
        answers = {}
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
        bar = opened.enter_context(Progress(*columns, TimeRemainingColumn(), transient=True))
        for name, task in plan.tasks.items():
            answers[name] = _drawn(name, task, painters, plan, size, bar)
            measured += _scored(name, task, answers[name], bar)
        if plan.cost is not None:
            measured += _spent(plan, painters, bar)
    return Outcome(
        measured,
        rows(measured, plan.confidence),
        answers,
        {painter.name: painter.engine for painter in painters},
        plan.gate.decide(measured, plan.confidence) if plan.gate else (),
    )


def _drawn(
    name: str, task: Task, painters: Sequence[Painter], plan: Plan, size: int, bar: Progress
) -> Answers:
    waiting = bar.add_task(f"{name}: scenes", total=None)
    samples = task.samples(plan.seed, size)
    bar.remove_task(waiting)
    if len(samples) < FEWEST * task.unit:
        words = f"{len(samples) // task.unit} are too few for an interval; take {FEWEST} or more"
        raise EvaluationError(f"{name}.prompts", words)
    cache, batch = RenderCache(plan.cache), plan.settings.batch
    pictures = {one.name: drawn(one, samples, cache, batch, bar) for one in painters}
    return Answers(samples, task.unit, pictures)


def _scored(name: str, task: Task, answers: Answers, bar: Progress) -> list[Measured]:
    units = len(answers.samples) // answers.unit
    waiting = bar.add_task(f"{name}: looks", total=None)
    found = {
        whose: checked(task.scores(answers.samples, pictures), units, whose)
        for whose, pictures in answers.pictures.items()
    }
    real = {}
    if task.ceiling:
        scores = task.scores(answers.samples, reals(answers.samples))
        real = checked(scores, units, "real renders")
    bar.remove_task(waiting)
    return [
        Measured(
            metric, name, {who: s[metric.name] for who, s in found.items()}, real.get(metric.name)
        )
        for metric in task.metrics
    ]


def _spent(plan: Plan, painters: Sequence[Painter], bar: Progress) -> list[Measured]:
    """Of the checkpoints that draw."""
    drawing = {one.name for one in painters if one.architecture is not None}
    waiting = bar.add_task("cost: one by one", total=None)
    asked = [one for one in plan.checkpoints if one.name in drawing]
    found = plan.cost.measure(asked, plan.settings, plan.seed) if plan.cost else []
    bar.remove_task(waiting)
    return found


def _size(painters: Sequence[Painter], settings: Settings) -> int:
    """Asked for, or the models' own."""
    own = [one.architecture.resolution for one in painters if one.architecture is not None]
    if settings.size is None and not own:
        raise EvaluationError("size", "no checkpoint draws; say how many pixels a side")
    return settings.size or own[0]
