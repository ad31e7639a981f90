"""Character memory: who was drawn, found again by name, by words and by picture."""
