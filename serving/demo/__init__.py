"""`python -m serving demo`: a style, a character and a story through the whole service."""
