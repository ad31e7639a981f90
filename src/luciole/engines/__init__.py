"""Engines run a bundle's graphs; the pipeline knows only the protocol."""

from luciole.engines.protocol import Engine

__all__ = ["Engine"]
