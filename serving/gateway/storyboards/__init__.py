"""Storyboards over HTTP: kept as they were written, and drawn as far as they are stale."""
