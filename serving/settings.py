"""What a service can be told from outside, all by environment variables named LUCIOLE_..."""

import os
from enum import StrEnum
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class EngineChoice(StrEnum):
    """Where graphs run; `auto` is Triton wherever it can be had, else in process."""

    AUTO = "auto"
    ONNX = "onnx"
    TRITON = "triton"


class Settings(BaseSettings):
    """Every choice of a running service; read once, by whoever starts it."""

    model_config = SettingsConfigDict(env_prefix="LUCIOLE_", frozen=True)

    bundle: Path = Path("out/bundle")
    engine: EngineChoice = EngineChoice.AUTO
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    """0 takes any free one."""
    threads: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
    """That one inference may use."""
    log_level: str = "INFO"
    triton_folder: Path = Path("out/triton")
    """For the server's model repository and its log."""

    queue_pictures: int = Field(default=64, ge=1)
    """Accepted and not yet drawn; beyond them callers are told to come back."""
    pictures_at_once: int = Field(default=8, ge=1)
    """Being drawn at most; their steps share calls of the engine."""
    style_slots: int = Field(default=33, ge=2)
    """Places for styles beside the denoiser; one of them stays empty."""
    request_seconds: float = Field(default=120.0, gt=0)
    recovery_seconds: float = Field(default=20.0, gt=0)
    """How long accepted work waits for an engine that is being healed."""
    ready_seconds: float = Field(default=2.0, ge=0)
    """How long the answer of /readyz may be repeated."""
    ready_patience: float = Field(default=10.0, gt=0)
    """How long /readyz itself waits for the engine before it says 503."""
    body_bytes: int = Field(default=262_144, ge=1024)
    kept_pictures: int = Field(default=256, ge=1)
    """Pictures behind URLs; the oldest make room."""
