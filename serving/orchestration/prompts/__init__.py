"""From what somebody typed to what a model is told, with every step in the open."""
