"""Every experiment is built and trained for two steps at the smallest size."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from safetensors.torch import load_file

from training.__main__ import CONF, train
from training.run import resolved

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers:UserWarning",
    "ignore:.*exists and is not empty:UserWarning",
    "ignore:Found .* in eval mode:UserWarning",
    "ignore:__array__ implementation:DeprecationWarning",
    "ignore:.*LeafSpec:FutureWarning",
)

MODEL = [
    "model.autoencoder.block_out_channels=[8,8,8,8]",
    "model.autoencoder.norm_num_groups=4",
    "model.tokenizer.scenes=20",
    "model.tokenizer.vocab_size=560",
    *(
        f"model.{part}.{key}={value}"
        for part, width in (("text_encoder", 16), ("text_encoder_2", 32))
        for key, value in (("width", width), ("heads", 2), ("feed_forward", 16), ("layers", 2))
    ),
    "model.image_encoder.width=16",
    "model.image_encoder.heads=2",
    "model.image_encoder.layers=1",
    "model.image_encoder.projection=32",
    "model.denoiser.block_out_channels=[16,16,16]",
    "model.denoiser.norm_num_groups=4",
    "model.denoiser.head_width=8",
    "model.denoiser.text_width=48",
    "model.denoiser.pooled_width=32",
]
RUN = [
    "threads=1",
    "trainer.max_steps=2",
    "trainer.val_check_interval=2",
    "trainer.precision=32-true",
    "callbacks.checkpoint.minutes=null",
    "callbacks.checkpoint.every_n_steps=2",
    "data.batch_size=4",
    "data.held_out_batches=1",
]


def few(place: str) -> list[str]:
    return [
        f"data.train.{place}.count=8",
        f"data.train.{place}.shard=8",
        f"data.train.{place}.workers=1",
        f"data.held_out.{place}.count=8",
    ]


STUDENT = [
    *few("latents.pictures"),
    "task.prompts=[a girl]",
    "task.walk=2",
    "model.path=${out}/models/pocket",
]
IDENTITY = [
    *few("latents.pictures"),
    "model.path=${out}/models/pocket",
    "task.image_encoder.folder=${out}/models/image_encoder",
    "task.prompts=[a girl]",
    "task.sample_steps=1",
    "task.judged=2",
]
CONTROL = [
    *few("latents.pictures"),
    "model.path=${out}/models/pocket",
    "task.control.embedding=[4,4,4,4]",
    "task.sample_steps=1",
    "task.measured=2",
]
STYLE = [
    "data.train.style.source.latents.pictures.count=8",
    "data.train.style.source.latents.pictures.shard=8",
    "data.held_out.source.latents.pictures.count=8",
    "task.prompts=[a girl]",
    "task.sample_steps=1",
    "model.path=${out}/models/pocket",
]
CHARACTER = [
    *few("latents.pictures"),
    "data.held_out.latents.pictures.shard=8",
    "task.prompts=[a girl]",
    "task.sample_steps=1",
    "model.path=${out}/models/pocket",
]
CHARACTERS = ("mika", "taro")
STYLES = ("ink", "watercolour", "pixel", "neon_night", "pastel", "poster")
TINY = {
    "pocket_autoencoder": [*few("pictures"), "data.train.whole_from=1", *MODEL],
    "pocket_clip": [*few("pictures"), *MODEL],
    "pocket_words": few("pictures"),
    "pocket_judge": [*few("pictures"), "task.classifier.widths=[8,8,8]"],
    "pocket_looks": [*few("pictures"), "task.classifier.widths=[8,8,8]"],
    "pocket_base": [*few("latents.pictures"), "task.prompts=[a girl]", *MODEL],
    "pocket_flow": [
        *few("latents.pictures"),
        "task.prompts=[a girl]",
        *MODEL,
        *(f"task.{part}.folder=${{out}}/models/pocket" for part in ("conditions", "autoencoder")),
    ],
    "pocket_student": STUDENT,
    "pocket_student_lora": [*STUDENT, "task.lora.r=4"],
    "pocket_identity": IDENTITY,
    "pocket_estimator": [*few("pictures"), "task.estimator.widths=[8,8,8]"],
    "pocket_control_pose": CONTROL,
    "pocket_control_depth": CONTROL,
    **{f"pocket_style_{style}": STYLE for style in STYLES},
    **{f"pocket_character_{name}": CHARACTER for name in CHARACTERS},
}
"""By experiment, in the order in which they build on each other."""
FOR_GPUS = {
    "sdxl_base": ["model.path=sdxl"],
    "sdxl_student": ["model.path=sdxl"],
    "sdxl_style": [
        "model.path=sdxl",
        "task.card.name=fog",
        "data.train.source.album.records.folder=pictures",
    ],
    "sdxl_identity": ["model.path=sdxl", "task.image_encoder.folder=eye"],
    "sdxl_control": ["model.path=sdxl", "data.train.control=pose"],
}
"""Of a size, and on weights, that are not at hand: these are composed and not run."""


def configuration(experiment: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base=None):
        return compose("train", [f"experiment={experiment}", *overrides])


def tiny(experiment: str, out: Path, *more: str) -> DictConfig:
    return configuration(experiment, f"out={out}", *RUN, *TINY[experiment], *more)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds what each experiment leaves for the next."""
    return tmp_path_factory.mktemp("out")


def test_each_experiment_has_its_place_in_this_test() -> None:
    assert {file.stem for file in (CONF / "experiment").glob("*.yaml")} == {*TINY, *FOR_GPUS}


@pytest.mark.parametrize("experiment", FOR_GPUS)
def test_those_for_gpus_are_complete_and_name_what_there_is(experiment: str) -> None:
    config = resolved(configuration(experiment, *FOR_GPUS[experiment]))
    targets = set()

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            targets.add(node.get("_target_"))
        for each in node.values() if isinstance(node, dict) else node:
            if isinstance(each, dict | list):
                walk(each)

    walk(OmegaConf.to_container(config, throw_on_missing=True))
    for target in targets - {None}:
        assert callable(get_object(target))


@pytest.mark.parametrize("experiment", [*TINY, *FOR_GPUS])
def test_it_begins_with_what_it_is_for(experiment: str) -> None:
    lines = (CONF / "experiment" / f"{experiment}.yaml").read_text().splitlines()
    assert lines[0] == "# @package _global_"
    assert lines[1].startswith("# ")


@pytest.mark.parametrize("experiment", TINY)
def test_two_steps_leave_weights_and_a_checkpoint(experiment: str, out: Path) -> None:
    folder = train(tiny(experiment, out))
    run = out / "runs" / experiment
    assert (run / "last.ckpt").exists()
    assert OmegaConf.load(run / "config.yaml").name == experiment
    assert (run / "metrics.csv").exists()
    expected = {
        "pocket_autoencoder": folder / "vae",
        "pocket_clip": folder / "text_encoder_2",
        "pocket_words": folder / "text_encoder",
        "pocket_judge": folder.parent / "judge",
        "pocket_looks": folder.parent / "looks",
        "pocket_base": folder / "unet",
        "pocket_flow": folder / "unet",
        "pocket_student": folder / "unet",
        "pocket_student_lora": folder,
        "pocket_identity": folder / "image_encoder",
        "pocket_estimator": folder.parent / "estimator",
        "pocket_control_pose": folder,
        "pocket_control_depth": folder,
        **{f"pocket_style_{style}": folder for style in STYLES},
        **{f"pocket_character_{name}": folder for name in CHARACTERS},
    }[experiment]
    assert list(expected.glob("*.safetensors"))
    if "samples" in configuration(experiment).callbacks:
        assert list((run / "samples").glob("*.png"))


@pytest.mark.parametrize(
    ("experiment", "part"),
    [
        ("pocket_autoencoder", "vae"),
        ("pocket_base", "unet"),
        ("pocket_base", "text_encoder_2"),
        ("pocket_student", "unet"),
        ("pocket_student_lora", ""),
    ],
)
def test_a_resumed_run_ends_with_the_same_weights_bit_for_bit(
    experiment: str, part: str, out: Path, tmp_path: Path
) -> None:
    def run(name: str, steps: int) -> dict[str, torch.Tensor]:
        models = tmp_path / name
        if not models.exists():
            shutil.copytree(out / "models" / "pocket", models)
        config = tiny(experiment, out, f"run={tmp_path}/run/{name}", f"models={models}")
        config.trainer.max_steps = steps
        config.task.learning_rate.steps = 4
        train(config)
        return load_file(next((models / part).glob("*.safetensors")))

    straight = run("straight", 4)
    halfway = run("broken", 2)
    resumed = run("broken", 4)
    assert all(torch.equal(weight, resumed[name]) for name, weight in straight.items())
    assert not all(torch.equal(weight, resumed[name]) for name, weight in halfway.items())


def test_the_whole_folder_opens_as_a_diffusers_pipeline(out: Path) -> None:
    from luciole.models.folder import load_pipeline

    parts = load_pipeline(str(out / "models" / "pocket"))
    parts.set_progress_bar_config(disable=True)
    pictures = parts("a girl", width=128, height=128, num_inference_steps=1, output_type="pt")
    assert pictures.images.shape == (1, 3, 128, 128)
    assert torch.isfinite(pictures.images).all()


def test_training_goes_on_from_the_weights_of_a_folder(out: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    shutil.copytree(out / "models" / "pocket", models)
    overrides = ["model=folder", f"model.path={models}", f"models={models}", f"out={out}"]
    before = load_file(models / "unet" / "diffusion_pytorch_model.safetensors")
    config = configuration(
        "pocket_base", *overrides, f"run={tmp_path}", *RUN, *few("latents.pictures"), "task.rate=0"
    )
    train(config)
    after = load_file(models / "unet" / "diffusion_pytorch_model.safetensors")
    assert all(torch.equal(weight, after[name]) for name, weight in before.items())


def test_wandb_runs_offline_without_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    config = configuration("pocket_judge", "logger=wandb", f"out={tmp_path}").logger
    logger = instantiate(config)
    assert logger._offline
    assert logger.name == "luciole"


@pytest.mark.parametrize("typo", ["trainer.max_step=3", "task.los.kl=1", "sede=3"])
def test_an_unknown_key_fails_before_anything_runs(typo: str) -> None:
    with pytest.raises(HydraException, match=typo.split("=", maxsplit=1)[0].split(".")[-1]):
        configuration("pocket_autoencoder", typo)
