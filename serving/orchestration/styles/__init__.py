"""Styles: where they come from, what they say of themselves, and how several go together."""
