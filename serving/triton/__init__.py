"""A real Triton server: its own environment, its model repository, and who watches over it."""
