"""From noise to latents: schedules, solvers and the one denoise loop; numpy and no torch."""

from luciole.sampling.denoise import Kept, Pull, Row, Trajectory, denoise
from luciole.sampling.schedule import (
    FlowSchedule,
    NoiseSchedule,
    PredictionType,
    TimestepSpacing,
    schedule_of,
)
from luciole.sampling.solvers import CLEAN, Level, Step, steps_of, tail

__all__ = [
    "CLEAN",
    "FlowSchedule",
    "Kept",
    "Level",
    "NoiseSchedule",
    "PredictionType",
    "Pull",
    "Row",
    "Step",
    "TimestepSpacing",
    "Trajectory",
    "denoise",
    "schedule_of",
    "steps_of",
    "tail",
]
