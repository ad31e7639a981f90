"""What a run says of itself before it runs."""

from pathlib import Path

import pytest
import torch

from luciole.data.pictures import Pictures
from tests.training.test_experiments import tiny
from training.checkpoint import BadCheckpoint
from training.dry_run import per_weight, show
from training.run import resolved


def test_it_says_sizes_steps_and_caches_and_writes_nothing(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny(
        "pocket_base",
        tmp_path / "out",
        f"models={tiny_folder}",
        "model.denoiser.text_width=64",
        "trainer.max_steps=1000",
        "trainer.accumulate_grad_batches=2",
    )
    show(config)
    told = capsys.readouterr().out
    assert "8 = 4 in a batch x 2 accumulated x 1 ranks" in told
    assert "1,000.00" in told  # epochs: 1,000 steps of 8 samples over 8 rows
    assert "0 of 1 shards are drawn" in told
    assert "anew, at step 0" in told
    assert not (tmp_path / "out").exists()


def test_what_is_drawn_already_is_counted(tmp_path: Path) -> None:
    drawn = {"folder": str(tmp_path), "split": "train", "size": 64, "shard": 2}
    assert Pictures.drawn(5, **drawn) == (0, 3)
    Pictures.draw(2, workers=1, **drawn)
    assert Pictures.drawn(5, **drawn) == (1, 3)


def test_adamw_keeps_two_numbers_a_weight(tmp_path: Path) -> None:
    config = resolved(tiny("pocket_judge", tmp_path))
    assert per_weight(config) == pytest.approx(8, abs=0.01)


def test_a_checkpoint_that_does_not_fit_is_told_before(tiny_folder: Path, tmp_path: Path) -> None:
    config = tiny("pocket_judge", tmp_path)
    last = tmp_path / "runs" / "pocket_judge" / "last.ckpt"
    last.parent.mkdir(parents=True)
    torch.save({"state_dict": {}, "optimizer_states": [], "callbacks": {}, "loops": {}}, last)
    with pytest.raises(BadCheckpoint, match=r"last.ckpt: classifier\S+ is missing"):
        show(config)
