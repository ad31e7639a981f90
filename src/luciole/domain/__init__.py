"""The vocabulary that every part of Luciole shares; knows no SQL, HTTP or torch."""

from luciole.domain.errors import (
    BundleError,
    Busy,
    Cancelled,
    DeadlineExceeded,
    EngineBadOutput,
    EngineError,
    InvalidRequest,
    LucioleError,
)
from luciole.domain.plan import RenderPlan, plans
from luciole.domain.request import GenerationRequest, SolverName, StyleUse

__all__ = [
    "BundleError",
    "Busy",
    "Cancelled",
    "DeadlineExceeded",
    "EngineBadOutput",
    "EngineError",
    "GenerationRequest",
    "InvalidRequest",
    "LucioleError",
    "RenderPlan",
    "SolverName",
    "StyleUse",
    "plans",
]
