"""Every kind of data set, from its configuration to a batch that a task learns from."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import Image

from training.__main__ import CONF
from training.data import StepData
from training.denoiser import DenoiserTask

COUNT = 12


def png(seed: int) -> bytes:
    """Wide, square and tall ones in turn."""
    width, height = ((96, 48), (64, 64), (48, 96))[seed % 3]
    out = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(noise).save(out, "PNG")
    return out.getvalue()


def folder(place: Path) -> list[str]:
    lines = [json.dumps({"file_name": f"{i}.png", "text": f"girl {i}"}) for i in range(COUNT)]
    (place / "metadata.jsonl").write_text("\n".join(lines))
    for i in range(COUNT):
        (place / f"{i}.png").write_bytes(png(i))
    return [f"data.train.album.records.folder={place}"]


def kohya(place: Path) -> list[str]:
    (place / "2_girl").mkdir()
    for i in range(COUNT // 2):
        (place / "2_girl" / f"{i}.png").write_bytes(png(i))
        (place / "2_girl" / f"{i}.txt").write_text(f"girl {i}")
    return [f"data.train.album.records.folder={place}"]


def webdataset(place: Path) -> list[str]:
    with tarfile.open(place / "0.tar", "w") as tar:
        for i in range(COUNT):
            for name, data in ((f"{i}.png", png(i)), (f"{i}.txt", f"girl {i}".encode())):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return [f"data.train.album.records.pattern={place}/*.tar"]


def parquet(place: Path) -> str:
    cells = [{"bytes": png(i), "path": None} for i in range(COUNT)]
    rows = {"image": cells, "text": [f"girl {i}" for i in range(COUNT)]}
    features = datasets.Features({"image": datasets.Image(), "text": datasets.Value("string")})
    datasets.Dataset.from_dict(rows, features=features).to_parquet(place / "rows.parquet")
    return str(place / "rows.parquet")


def hugging_face(place: Path) -> list[str]:
    records = "data.train.album.records"
    cache = f"+{records}.dataset.cache_dir={place}/cache"
    return [f"{records}.name=mine", f"{records}.dataset.data_files={parquet(place)}", cache]


def hugging_face_stream(place: Path) -> list[str]:
    return [
        *hugging_face(place),
        "data.train.album.records.count=12",
        "data.train.album.records.dataset.path=parquet",
    ]


KINDS: list[Callable[[Path], list[str]]] = [
    folder,
    kohya,
    webdataset,
    hugging_face,
    hugging_face_stream,
]


def built(kind: str, tiny_folder: Path, out: Path, *more: str) -> tuple[StepData, DenoiserTask]:
    with initialize_config_dir(str(CONF), version_base=None):
        config = compose(
            "train",
            [
                "experiment=pocket_base",
                f"data={kind}",
                "model=folder",
                f"model.path={tiny_folder}",
                f"models={tiny_folder}",
                f"out={out}",
                "data.batch_size=2",
                "data.train.threads=1",
                "data.train.album.held_out=0.2",
                "data.train.buckets.side=64",
                "data.train.buckets.stride=32",
                "data.train.buckets.shortest=32",
                "data.train.buckets.longest=128",
                "task.text_rate=0",
                "trainer.precision=32-true",
                *more,
            ],
        )
    OmegaConf.resolve(config)
    return instantiate(config.data, _convert_="all"), instantiate(config.task, _convert_="all")


def test_each_kind_has_its_place_in_this_test() -> None:
    on_albums = {
        file.stem for file in (CONF / "data").glob("*.yaml") if "\n  - album\n" in file.read_text()
    }
    assert on_albums == {kind.__name__ for kind in KINDS}


@pytest.mark.parametrize("file", sorted((CONF / "data").glob("*.yaml")), ids=lambda f: f.stem)
def test_it_begins_with_what_it_reads(file: Path) -> None:
    assert file.read_text().startswith("# ")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_task_learns_from_every_kind(
    kind: Callable[[Path], list[str]], tiny_folder: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    data, task = built(kind.__name__, tiny_folder, tmp_path / "out", *kind(mine))
    batch = next(iter(data.train_dataloader()))
    size = 8 * np.array(batch["latents"].shape[2:])
    assert batch["time_ids"][0, 4:].tolist() == size.tolist()
    assert all(one == "" or one.startswith("girl ") for one in batch["captions"])
    loss = task.losses(batch, 0)
    loss.mean().backward()
    assert loss.shape == (len(batch["places"]),)
    assert torch.isfinite(loss).all()
    for held_out in data.val_dataloader():
        assert torch.isfinite(task.losses(held_out, 1)).all()
    said = data.provenance()
    assert json.loads(json.dumps(said)) == said
    assert said["train"]["rows"] + said["held_out"]["rows"] == COUNT
    assert said["train"]["content"] == said["held_out"]["content"]
    assert (said["train"]["part"], said["held_out"]["part"]) == ("train", "held_out")


def test_fewer_pictures_than_a_batch_are_an_error_before_the_first_step(
    tiny_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    asked = [*folder(tmp_path / "mine"), "data.batch_size=11"]
    data, _ = built("folder", tiny_folder, tmp_path / "out", *asked)
    with pytest.raises(ValueError, match=r"10 rows do not fill a batch of 11; lower data"):
        data.train_dataloader()


def test_cached_words_stand_in_for_live_ones(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    cached: list[str] = [
        "+task.conditions.conditions._target_=luciole.models.folder.load_conditions",
        f"+task.conditions.conditions.folder={tiny_folder}",
        "task.conditions._target_=luciole.data.texts.CachedConditions",
        f"task.conditions.folder={tmp_path}/out/texts",
    ]
    asked = folder(tmp_path / "mine")
    data, live = built("folder", tiny_folder, tmp_path / "out", *asked)
    _, looked_up = built("folder", tiny_folder, tmp_path / "out", *asked, *cached)
    batch = next(iter(data.train_dataloader()))
    wanted = live.losses(batch, 0)
    for _ in range(2):
        torch.testing.assert_close(looked_up.losses(batch, 0), wanted, atol=1e-3, rtol=1e-3)


def few(place: Path, files: int = 3) -> dict[str, Any]:
    """Damage some pictures of a folder; return what each is called."""
    for i in range(files):
        (place / f"{i}.png").write_bytes(b"")
    return {f"{i}.png": "the file is empty" for i in range(files)}


def test_damaged_pictures_stop_a_run_unless_it_says_how_many_may_be(
    tiny_folder: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    asked = folder(mine)
    damaged = few(mine)
    with pytest.raises(Exception, match=r"mine: 3 pictures cannot be read and corrupt_limit is 0"):
        built("folder", tiny_folder, tmp_path / "out", *asked)
    data, _ = built(
        "folder", tiny_folder, tmp_path / "out", *asked, "data.train.album.corrupt_limit=3"
    )
    assert data.provenance()["train"]["unreadable"] == 3
    report = next((tmp_path / "out").rglob("report.json"))
    assert json.loads(report.read_text())["unreadable"] == damaged
