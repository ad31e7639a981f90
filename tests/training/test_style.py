"""The style recipe: the same losses as a plain loop, and files that are small and complete."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig
from peft import LoraConfig
from safetensors import safe_open
from torch import Tensor

from luciole.adapters.lora import ATTENTION
from luciole.data.stream import Stream
from luciole.diffusion.draws import Draws
from luciole.models.folder import load_pipeline
from training.__main__ import CONF, train

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers:UserWarning",
    "ignore:.*exists and is not empty:UserWarning",
    "ignore:Found .* in eval mode:UserWarning",
    "ignore:__array__ implementation:DeprecationWarning",
    "ignore:.*LeafSpec:FutureWarning",
)
TINY = [
    "threads=1",
    "trainer.max_steps=2",
    "trainer.val_check_interval=2",
    "trainer.precision=32-true",
    "trainer.log_every_n_steps=1",
    "data.batch_size=4",
    "data.held_out_batches=1",
    "task.prompts=[a girl]",
    "task.sample_steps=1",
    "task.learning_rate.warmup=1",
]
STYLE = [
    "data.train.style.source.latents.pictures.count=8",
    "data.train.style.source.latents.pictures.shard=8",
    "data.held_out.source.latents.pictures.count=8",
    "task.lora.rank=2",
]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out")


def configuration(experiment: str, model: Path, out: Path, *more: str) -> DictConfig:
    asked = [f"experiment={experiment}", f"out={out}", f"model.path={model}", *TINY, *more]
    with initialize_config_dir(str(CONF), version_base=None):
        return compose("train", asked)


def style(model: Path, out: Path, *more: str) -> DictConfig:
    return configuration("pocket_style_ink", model, out, *STYLE, *more)


def losses(run: Path) -> list[float]:
    lines = (run / "metrics.csv").read_text().splitlines()
    column = lines[0].split(",").index("train/loss")
    told = [line.split(",")[column] for line in lines[1:]]
    return [float(value) for value in told if value]


def test_a_run_leaves_both_formats_and_a_preview(tiny_folder: Path, out: Path) -> None:
    folder = train(style(tiny_folder, out))
    assert folder == out / "styles" / "ink"
    assert (folder / "ink.png").exists()
    for name in ("pytorch_lora_weights.safetensors", "ink.safetensors"):
        with safe_open(folder / name, "pt") as stored:
            assert stored.metadata()["trigger"] == "ink style"
        pipeline = load_pipeline(str(tiny_folder))
        pipeline.load_lora_weights(str(folder), weight_name=name)
        assert pipeline.get_list_adapters()["unet"]


def test_it_goes_on_beside_styles_that_are_there(tiny_folder: Path, out: Path) -> None:
    folder = train(style(tiny_folder, out, "run=${out}/first", "models=${out}/first"))
    other = f"task.others=[{folder}/ink.safetensors]"
    config = style(
        tiny_folder, out, other, "task.orthogonality=0.5", "run=${out}/next", "models=${out}/next"
    )
    train(config)
    assert "train/overlap" in (out / "next" / "metrics.csv").read_text()


def first_losses(task: Any, stream: Stream, steps: int) -> list[float]:
    """Twenty steps as Lightning takes them, without Lightning."""
    task.log = lambda *_, **__: None
    optimizers = task.configure_optimizers()
    optimizer, schedule = optimizers["optimizer"], optimizers["lr_scheduler"]["scheduler"]
    told = []
    for step in range(steps):
        loss = task.training_step(stream.batch(step), step)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for p in task.parameters() if p.requires_grad], 1.0)
        optimizer.step()
        schedule.step()
        told.append(loss.item())
    return told


def plain_losses(
    folder: Path, stream: Stream, seed: int, learns: Any, rate: Any, steps: int
) -> list[float]:
    """The same by hand: diffusers' model, schedule and noise, transformers' text encoders."""
    pipeline = load_pipeline(str(folder))
    for part in (pipeline.unet, pipeline.text_encoder, pipeline.text_encoder_2):
        part.requires_grad_(False)
    weights = learns(pipeline.unet)
    optimizer = torch.optim.AdamW(weights, lr=1e-3, betas=(0.9, 0.99), weight_decay=0.01)
    noises = DDPMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
    )
    told = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * rate(step)
        batch = stream.batch(step)
        draws, latents = Draws(seed, batch["places"]), batch["latents"]
        noise = draws.normal(*latents.shape[1:])
        timesteps = (draws.uniform() * 1000).long()
        states, pooled = words(pipeline, batch["captions"])
        told_more = {"text_embeds": pooled, "time_ids": batch["time_ids"]}
        noisy = noises.add_noise(latents, noise, timesteps)
        said = pipeline.unet(noisy, timesteps, states, added_cond_kwargs=told_more).sample
        kept = noises.alphas_cumprod[timesteps]
        snr = kept / (1 - kept)
        error = (said - noises.get_velocity(latents, noise, timesteps)) ** 2 * batch.get("mask", 1)
        each = error.mean(dim=(1, 2, 3)) * snr.clamp(1, 5) / (snr + 1)
        loss = (each * batch.get("weight", torch.ones(len(latents)))).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        told.append(loss.item())
    return told


@torch.no_grad()
def words(pipeline: Any, captions: list[str]) -> tuple[Tensor, Tensor]:
    states = []
    for tokenizer, encoder in (
        (pipeline.tokenizer, pipeline.text_encoder),
        (pipeline.tokenizer_2, pipeline.text_encoder_2),
    ):
        window = {"padding": "max_length", "truncation": True, "max_length": 77}
        ids = tokenizer(captions, return_tensors="pt", **window).input_ids
        said = encoder(ids, output_hidden_states=True)
        states.append(said.hidden_states[-2])
    return torch.cat(states, dim=-1), said[0]


def test_the_first_losses_of_style_are_those_of_a_plain_loop(tiny_folder: Path, out: Path) -> None:
    def learns(unet: Any) -> list[Any]:
        names = ["to_q", "to_k", "to_v", "to_out.0"]
        unet.add_adapter(LoraConfig(r=2, lora_alpha=8.0, target_modules=names))
        with torch.no_grad():
            for name, weight in unet.named_parameters():
                if weight.requires_grad:
                    weight.copy_(start[name.replace(".default.", ".style.")])
        return [weight for weight in unet.parameters() if weight.requires_grad]

    torch.manual_seed(3)
    config = style(tiny_folder, out, "data.train.weight=0.5", "trainer.max_steps=20")
    config.task.lora.targets.unet = list(ATTENTION)
    task = instantiate(config.task, _convert_="all")
    start = {
        name: weight.detach().clone()
        for name, weight in task.denoiser.named_parameters()
        if weight.requires_grad
    }
    stream = Stream(instantiate(config.data.train, _convert_="all"), 4, config.seed)
    rate = task.configure_optimizers()["lr_scheduler"]["scheduler"].lr_lambdas[0]
    ours = first_losses(task, stream, 20)
    plain = plain_losses(tiny_folder, stream, config.seed, learns, rate, 20)
    assert ours == pytest.approx(plain, abs=1e-5)
    assert abs(ours[0] - ours[-1]) > 1e-3


def test_the_first_losses_of_denoiser_are_those_of_a_plain_loop(
    tiny_folder: Path, out: Path
) -> None:
    def learns(unet: Any) -> list[Any]:
        return list(unet.requires_grad_(True).parameters())

    few = [
        f"data.{part}.latents.pictures.{key}=8"
        for part in ("train", "held_out")
        for key in ("count",)
    ]
    config = configuration(
        "pocket_base",
        tiny_folder,
        out,
        *few,
        "model=folder",
        "data.train.latents.pictures.shard=8",
        "data.train.latents.pictures.workers=1",
        "trainer.max_steps=20",
        f"models={tiny_folder}",
        "task.rate=1e-3",
        "task.text_rate=0",
    )
    task = instantiate(config.task, _convert_="all")
    stream = Stream(instantiate(config.data.train, _convert_="all"), 4, config.seed)
    rate = task.configure_optimizers()["lr_scheduler"]["scheduler"].lr_lambdas[0]
    ours = first_losses(task, stream, 20)
    plain = plain_losses(tiny_folder, stream, config.seed, learns, rate, 20)
    assert ours == pytest.approx(plain, abs=1e-5)
