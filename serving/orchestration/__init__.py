"""What only this product knows: prompts, styles, characters and scenes; no torch."""
