"""Storyboards: a graph of frames in, pictures that know each other out."""
