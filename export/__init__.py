"""Turns a diffusers folder into a bundle: `python -m export`."""
