"""Luciole: train diffusion models, turn them into engines, serve them."""

__version__ = "0.1.0"
