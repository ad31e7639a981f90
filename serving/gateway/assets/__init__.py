"""Files named by the SHA-256 of their bytes: immutable, and seen only by whose they are."""
