"""The two sizes in conf/model."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from luciole.models.denoiser import denoiser

CONF = Path(__file__).parents[3] / "conf" / "model"


class Vocabulary:
    """As much of a tokenizer as a text encoder asks for."""

    bos_token_id, eos_token_id, pad_token_id = 0, 1, 1

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size


def parameters(size: str, part: str, vocabulary: int) -> int:
    config = OmegaConf.load(CONF / f"{size}.yaml")[part]
    with torch.device("meta"):
        built = instantiate(config, _convert_="all")
        model = built(tokenizer=Vocabulary(vocabulary)) if part.startswith("text") else built
    return sum(weight.numel() for weight in model.parameters())


@pytest.mark.parametrize(
    ("part", "count"),
    [
        ("denoiser", 2_567_463_684),
        ("autoencoder", 83_653_863),
        ("text_encoder", 123_060_480),
        ("text_encoder_2", 694_659_840),
    ],
)
def test_sdxl_has_as_many_parameters_as_the_published_model(part: str, count: int) -> None:
    assert parameters("sdxl", part, vocabulary=49408) == count


def test_pocket_fits_in_forty_megabytes_of_half_precision() -> None:
    parts = ("denoiser", "autoencoder", "text_encoder", "text_encoder_2")
    total = sum(parameters("pocket", part, vocabulary=900) for part in parts)
    assert 2 * total < 39_900_000


def test_attention_by_matrix_products_is_the_same_attention() -> None:
    from diffusers.models.attention_processor import AttnProcessor2_0

    torch.manual_seed(0)
    config: Any = OmegaConf.to_container(OmegaConf.load(CONF / "pocket.yaml").denoiser)
    del config["_target_"]
    model = denoiser(**{**config, "block_out_channels": [32, 32, 32], "text_width": 16})
    told = {"text_embeds": torch.randn(2, 256), "time_ids": torch.full((2, 6), 128.0)}
    heard = (torch.randn(2, 8, 16, 16), torch.tensor([3, 900]), torch.randn(2, 77, 16))
    with torch.no_grad():
        mine = model(*heard, added_cond_kwargs=told).sample
        model.set_attn_processor(AttnProcessor2_0())
        fused = model(*heard, added_cond_kwargs=told).sample
    torch.testing.assert_close(mine, fused, rtol=0, atol=1e-5)
