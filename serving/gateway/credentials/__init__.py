"""Content Credentials: every picture says, signed, that a model drew it (C2PA 2)."""
