"""Versions of pictures and storyboards: a tree in which going back adds."""
