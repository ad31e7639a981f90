"""SDXL's parts in any size, built from the classes of diffusers and transformers."""
