"""`python -m serving demo`: a contact sheet through the whole service."""
