"""Fixtures that many tests share: a tiny random model of SDXL's architecture, and its bundle."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from luciole.bundle import Bundle

WORDS = ["girl", "rain", "hair", "red", "walking", "in", "a"]


def byte_alphabet() -> list[str]:
    """The printable stand-ins for the 256 bytes that CLIP's vocabulary begins with."""
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())


def save_tokenizer(folder: Path, pad: str = "<|endoftext|>") -> int:
    """Write a CLIP tokenizer with a handful of merges; return the vocabulary size."""
    from transformers import CLIPTokenizer

    alphabet = byte_alphabet()
    tokens = alphabet + [f"{c}</w>" for c in alphabet]
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        pieces = [*word[:-1], f"{word[-1]}</w>"]
        while len(pieces) > 1:
            pair = (pieces[0], pieces[1])
            if pair not in merges:
                merges.append(pair)
                tokens.append("".join(pair))
            pieces[:2] = ["".join(pair)]
    vocab = {token: i for i, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}
    CLIPTokenizer(vocab=vocab, merges=merges, pad_token=pad, model_max_length=77).save_pretrained(
        folder
    )
    return len(vocab)


def text_encoder_config(vocab: int, **changes: Any) -> Any:
    """Two layers of width 32; the ids of the special tokens are the vocabulary's last two."""
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        vocab_size=vocab,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=32,
        bos_token_id=vocab - 2,
        eos_token_id=vocab - 1,
        pad_token_id=vocab - 1,
        **changes,
    )


def tiny_unet() -> Any:
    """Three levels, 0.3 M parameters, 8 latent channels."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=16,
        in_channels=8,
        out_channels=8,
        block_out_channels=(16, 32, 32),
        layers_per_block=1,
        norm_num_groups=8,
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 1, 1),
        attention_head_dim=(2, 2, 2),
        use_linear_projection=True,
        cross_attention_dim=64,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=32 + 6 * 8,
    )


def tiny_vae() -> Any:
    """Three halvings, 8 latent channels."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=8,
        sample_size=128,
        scaling_factor=0.5,
        mid_block_add_attention=False,
    )


def save_tiny_folder(folder: Path) -> Path:
    """A random model in diffusers' SDXL layout, the same weights every time."""
    import torch
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    vocab = save_tokenizer(folder / "tokenizer")
    save_tokenizer(folder / "tokenizer_2", pad="!")
    with torch.random.fork_rng():
        torch.manual_seed(7)
        scheduler = EulerDiscreteScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            prediction_type="v_prediction",
            rescale_betas_zero_snr=True,
            timestep_spacing="trailing",
        )
        StableDiffusionXLPipeline(
            vae=tiny_vae(),
            text_encoder=CLIPTextModel(text_encoder_config(vocab)),
            text_encoder_2=CLIPTextModelWithProjection(
                text_encoder_config(vocab, hidden_act="gelu")
            ),
            tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
            tokenizer_2=CLIPTokenizer.from_pretrained(folder / "tokenizer_2"),
            unet=tiny_unet(),
            scheduler=scheduler,
            force_zeros_for_empty_prompt=False,
        ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny random model; read it, do not write there."""
    return save_tiny_folder(tmp_path_factory.mktemp("tiny"))


def tiny_layers(folder: Path, rank: int, seed: int) -> Any:
    """Random LoRA layers on the tiny model's attention, large enough to be seen."""
    import torch

    from luciole.adapters.lora import ATTENTION, Factors, matching
    from luciole.models.folder import load_denoiser

    unet = load_denoiser(str(folder))
    chance = torch.Generator().manual_seed(seed)
    layers = {}
    for path in matching({"unet": unet}, "unet", ATTENTION):
        layer = unet.get_submodule(path.removeprefix("unet."))
        down = torch.randn(rank, layer.in_features, generator=chance).half().float()
        up = (0.2 * torch.randn(layer.out_features, rank, generator=chance)).half().float()
        layers[path] = Factors(down, up, alpha=2.0)
    return layers


def save_tiny_style(folder: Path, file: Path, name: str, rank: int, seed: int) -> Path:
    """A LoRA file as diffusers and peft write them."""
    from luciole.adapters.lora_file import LoraCard, weights_hash, write_peft
    from luciole.models.folder import load_denoiser

    card = LoraCard(
        name=name,
        trigger=f"{name} style",
        licence="CC0-1.0",
        tags=("test",),
        base_hash=weights_hash(load_denoiser(str(folder))),
        architecture="tiny/lora",
        base_version="tiny",
        command="none",
        resolution=128,
        steps=0,
        rate=0.0,
        seed=seed,
        prediction_type="v_prediction",
        date="2026-01-01T00:00:00Z",
    )
    write_peft(file, tiny_layers(folder, rank, seed), card)
    return file


@pytest.fixture(scope="session")
def tiny_bundle(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The tiny model exported with three styles; read it, copy it to change it."""
    from export.bundle import Export

    place = tmp_path_factory.mktemp("exported")
    styles = [
        save_tiny_style(tiny_folder, place / f"{name}.safetensors", name, rank, seed)
        for seed, (name, rank) in enumerate({"ink": 4, "neon": 8, "pastel": 16}.items())
    ]
    export = Export(tiny_folder, place / "tiny", licence="Apache-2.0", threads=1)
    return replace(export, styles=tuple(styles)).run()[0]
