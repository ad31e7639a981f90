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
from luciole.domain.guides import (
    AnchorUse,
    ControlKind,
    ControlUse,
    Guides,
    IdentityBlocks,
    IdentityUse,
    LatentReference,
    Mask,
    NoiseFamily,
    PictureName,
    Start,
)
from luciole.domain.plan import RenderPlan, plans
from luciole.domain.request import Emphasis, GenerationRequest, SolverName, StyleStrategy, StyleUse

__all__ = [
    "AnchorUse",
    "BundleError",
    "Busy",
    "Cancelled",
    "ControlKind",
    "ControlUse",
    "DeadlineExceeded",
    "Emphasis",
    "EngineBadOutput",
    "EngineError",
    "GenerationRequest",
    "Guides",
    "IdentityBlocks",
    "IdentityUse",
    "InvalidRequest",
    "LatentReference",
    "LucioleError",
    "Mask",
    "NoiseFamily",
    "PictureName",
    "RenderPlan",
    "SolverName",
    "Start",
    "StyleStrategy",
    "StyleUse",
    "plans",
]
