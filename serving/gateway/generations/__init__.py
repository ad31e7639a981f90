"""Pictures as accepted work: asked for, looked after, canceled (the form of Firefly Services)."""
