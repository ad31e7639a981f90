"""Fixtures that many tests share: a tiny random model of SDXL's architecture, and its bundle."""

import hashlib
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import settings

from luciole.bundle import Bundle
from luciole.recipe import CODE, LIBRARY

# The same examples every time: a change is judged by what it changes. Others are tried with
# pytest --hypothesis-profile=default.
settings.register_profile("same", derandomize=True)
settings.load_profile("same")

DAY = 86_400
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


def made_by() -> str:
    """A hash of all that decides what is exported: the code that does it, and its libraries."""
    from export.bundle import LIBRARIES

    exporter = Path(__file__).parents[1] / "export"
    code = [file for pattern in CODE for file in LIBRARY.glob(pattern)]
    code += [Path(__file__), *exporter.rglob("*.py")]
    facts = [file.read_bytes() for file in sorted(code)]
    facts += [version(library).encode() for library in LIBRARIES]
    return hashlib.sha256(b"".join(facts)).hexdigest()[:16]


def kept(config: pytest.Config, name: str, make: Callable[[Path], object]) -> Path:
    """A folder of pytest's cache, filled once for as long as the code that fills it is the same."""
    from luciole.bundle import fresh_folder

    folder = config.cache.mkdir("luciole")  # type: ignore[union-attr]
    place = folder / f"{name}-{made_by()}"
    with FileLock(folder / f"{name}.lock"):
        if place.exists():
            return place
        for old in folder.glob(f"{name}-*"):
            # Another run may still be using a young one.
            if time.time() - old.stat().st_mtime > DAY:
                shutil.rmtree(old, ignore_errors=True)
        with fresh_folder(place) as fresh:
            make(fresh)
    return place


@pytest.fixture(scope="session")
def tiny_folder(pytestconfig: pytest.Config) -> Path:
    """The folder of a tiny random model; read it, do not write there."""
    return kept(pytestconfig, "folder", save_tiny_folder)


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


def save_tiny_guides(folder: Path, place: Path, plus: bool = False) -> Any:
    """An eye, an identity adapter and two control nets for the tiny model, all of random weights.

    The control net of poses hears words, that of depth does not.
    """
    import torch

    from export.guides import Guides
    from luciole.adapters.control import control_net
    from luciole.adapters.identity import IdentityAdapter
    from luciole.domain import ControlKind
    from luciole.models.classifier import AttributeClassifier
    from luciole.models.folder import load_denoiser
    from luciole.models.vision import image_encoder

    unet = load_denoiser(str(folder), attention_kernel="sdpa")
    with torch.random.fork_rng():
        torch.manual_seed(11)
        eye = image_encoder(32, 8, 24, 3, 2, 32, "gelu", 20)
        build = IdentityAdapter.plus if plus else IdentityAdapter.base
        adapter = build(unet, eye, **({"tokens": 3, "width": 64} if plus else {}))
        nets = {kind: control_net(unet, (8, 8, 8, 8), kind == "pose") for kind in ControlKind}
        for part in (eye, adapter, *nets.values()):
            for name, weight in part.named_parameters():
                if part is eye or part is adapter or "controlnet_" in name or "cond_" in name:
                    torch.nn.init.normal_(weight, std=0.15)
    eye.save_pretrained(place / "eye")
    adapter.save(place / "identity" / "ip_adapter.safetensors", half=False, metadata={})
    for kind, net in nets.items():
        net.save_pretrained(place / kind)
    controls = {kind: place / kind for kind in nets}
    with torch.random.fork_rng():
        torch.manual_seed(12)
        AttributeClassifier({"skin": ["light", "dark"]}, [8, 8]).save(place / "looks")
    return Guides(place / "eye", place / "looks", place / "identity", controls, anchors=True)


def export_tiny(folder: Path, place: Path, guided: bool) -> None:
    """The tiny model with three styles and, if so, all that guides."""
    from export.bundle import Export

    styles = [
        save_tiny_style(folder, place / f"{name}.safetensors", name, rank, seed)
        for seed, (name, rank) in enumerate({"ink": 4, "neon": 8, "pastel": 16}.items())
    ]
    export = Export(folder, place / "tiny", licence="Apache-2.0", threads=1, styles=tuple(styles))
    replace(export, **({"guides": save_tiny_guides(folder, place)} if guided else {})).run()


@pytest.fixture(scope="session")
def tiny_bundle(tiny_folder: Path, pytestconfig: pytest.Config) -> Bundle:
    """The tiny model exported with three styles; read it, copy it to change it."""
    place = kept(pytestconfig, "bundle", lambda place: export_tiny(tiny_folder, place, False))
    return Bundle.open(place / "tiny")


@pytest.fixture(scope="session")
def guided_bundle(tiny_folder: Path, pytestconfig: pytest.Config) -> Bundle:
    """The same with an identity adapter, two control nets and anchors."""
    place = kept(pytestconfig, "guided", lambda place: export_tiny(tiny_folder, place, True))
    return Bundle.open(place / "tiny")
