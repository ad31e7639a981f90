"""From noise to latents: schedules, solvers and the one denoise loop; numpy and no torch."""

from luciole.sampling.denoise import Row, Trajectory, denoise
from luciole.sampling.schedule import (
    FlowSchedule,
    NoiseSchedule,
    PredictionType,
    TimestepSpacing,
    schedule_of,
)
from luciole.sampling.solvers import Step, steps_of

__all__ = [
    "FlowSchedule",
    "NoiseSchedule",
    "PredictionType",
    "Row",
    "Step",
    "TimestepSpacing",
    "Trajectory",
    "denoise",
    "schedule_of",
    "steps_of",
]
