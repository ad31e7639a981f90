"""What is mistyped on the command line."""

import subprocess
import sys

import pytest

from training.__main__ import CONF
from training.overrides import BadOverride, check

BASE = "experiment=pocket_base"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([BASE, "trainer.max_step=3"], "trainer.max_step: .* did you mean trainer.max_steps?"),
        ([BASE, "task.loss.snr_celing=1"], "did you mean task.loss.snr_ceiling?"),
        ([BASE, "sede=3"], "sede: there is no such key; did you mean seed?"),
        ([BASE, "max_steps=3"], "did you mean trainer.max_steps?"),
        ([BASE, "loger=wandb"], "loger: there is no such key; did you mean logger?"),
        ([BASE, "~callbacks.bat"], "did you mean callbacks.bar?"),
        (["experiment=pocket_bas"], "experiment=pocket_bas: .* did you mean pocket_base?"),
        ([BASE, "logger=wand"], "logger=wand: there is no such choice; did you mean wandb?"),
        ([BASE, "seed=[1"], r"seed=\[1: "),
        ([BASE, "model=folder"], "model.path: must be given"),
        ([], "experiment: choose one of pocket_autoencoder, "),
    ],
)
def test_it_fails_with_the_nearest_valid_word(words: list[str], told: str) -> None:
    with pytest.raises(BadOverride, match=told) as failure:
        check(CONF, "train", words)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    "words",
    [
        [BASE, "seed=1,2", "-m"],
        [BASE, "callbacks.samples=null"],
        [BASE, "+trainer.limit_val_batches=1"],
    ],
)
def test_what_hydra_understands_passes(words: list[str]) -> None:
    assert check(CONF, "train", words) is not None


def test_the_command_says_it_in_one_line_and_ends_with_status_2() -> None:
    command = [sys.executable, "-m", "training", BASE, "trainer.max_step=3"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CONF.parent, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("trainer.max_step: there is no such key")
    assert "Traceback" not in done.stderr
