"""The reader of manners knows real renders of scenes that it was not fitted to."""

from evals.manners import MannerReader, renders
from luciole.storyworld import sample_scene


def test_it_knows_the_manner_of_scenes_it_never_saw() -> None:
    reader = MannerReader.fitted(*renders([sample_scene(seed) for seed in range(24)], 64))
    pictures, names = renders([sample_scene(10_000 + seed, "held_out") for seed in range(8)], 64)
    right = sum(read == name for read, name in zip(reader.read(pictures), names, strict=True))
    assert right / len(names) > 0.9
