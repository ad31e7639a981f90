"""What the demo draws: each prompt with the seed of its picture."""

PROMPTS: tuple[tuple[str, int], ...] = (
    ("anime girl walking in rain", 1),
    ("a girl with long pink hair wearing a blue dress on the beach at sunset", 2),
    ("a boy with short black hair in a red hoodie running in the park in the morning", 3),
    ("a girl with white hair in a purple coat standing in the snow in the mountains", 4),
    ("1boy, green hair, orange t-shirt, jumping, desert, day, clear sky", 5),
    ("a girl with red hair in a yellow coat waving on a rooftop at night", 6),
    ("a boy with blonde hair wearing blue overalls reading in the library", 7),
    ("1girl, brown hair, ponytail, green dress, dancing, forest, fog", 8),
)

BEFORE_AND_AFTER = (PROMPTS[0], PROMPTS[1], PROMPTS[2])
"""What shows the style."""
