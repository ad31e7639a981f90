"""Characters over HTTP: made from pictures, found again, carried elsewhere, forgotten."""
