"""Measures what a model draws, through the engine that serves it."""
