"""Pictures that went through an autoencoder."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from luciole.data.pictures import Pictures
from luciole.data.reconstructed import ReconstructedPictures


class Darkening(torch.nn.Module):
    """Loses half of the light, as an autoencoder would lose detail."""

    device = torch.device("cpu")

    def __init__(self, kept: float) -> None:
        super().__init__()
        self.kept = torch.nn.Parameter(torch.tensor(kept))
        self.asked = 0

    def encode(self, pictures: torch.Tensor) -> SimpleNamespace:
        self.asked += len(pictures)
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=(pictures + 1) * self.kept))

    def decode(self, latents: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(sample=latents - 1)


def test_every_third_picture_of_a_shard_went_through_and_the_others_are_as_they_were(
    pictures: Pictures, tmp_path: Path
) -> None:
    seen = ReconstructedPictures(pictures, Darkening(0.5), str(tmp_path), every=3)
    rows = np.arange(len(pictures))
    given, made = pictures.images(rows), seen.images(rows)
    for row in rows:
        if row % 8 % 3 == 0:
            np.testing.assert_allclose(made[row], given[row] / 2, atol=2)
        else:
            assert np.array_equal(made[row], given[row])


def test_what_is_on_disk_is_not_made_again_unless_a_weight_changed(
    pictures: Pictures, tmp_path: Path
) -> None:
    ReconstructedPictures(pictures, Darkening(0.5), str(tmp_path))
    again, other = Darkening(0.5), Darkening(0.25)
    kept = ReconstructedPictures(pictures, again, str(tmp_path))
    changed = ReconstructedPictures(pictures, other, str(tmp_path))
    assert (again.asked, other.asked) == (0, 16)
    assert kept.images([0]).mean() > changed.images([0]).mean()
