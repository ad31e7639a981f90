"""From noise to latents: schedules, solvers and the one denoise loop; numpy and no torch."""

from luciole.sampling.denoise import Row, Trajectory, denoise
from luciole.sampling.schedule import NoiseSchedule, PredictionType, TimestepSpacing
from luciole.sampling.solvers import Step, steps_of

__all__ = [
    "NoiseSchedule",
    "PredictionType",
    "Row",
    "Step",
    "TimestepSpacing",
    "Trajectory",
    "denoise",
    "steps_of",
]
