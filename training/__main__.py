"""`python -m training experiment=pocket_autoencoder`: train what the configuration says."""

import logging
from pathlib import Path
from typing import Any

import hydra
import lightning.pytorch as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from training.precision import best_precision

CONF = Path(__file__).parents[1] / "conf"
FINISHED = "finished"
"""The file in a run's folder that says that all its steps are done."""
log = logging.getLogger("training")


def train(config: DictConfig) -> Path:
    """Train, then write the weights; return the folder that holds them.

    With `resume: auto` a run goes on from its own last checkpoint, where there is one.
    """
    OmegaConf.register_new_resolver("best_precision", best_precision, replace=True)
    OmegaConf.resolve(config)
    pl.seed_everything(config.seed, verbose=False)
    torch.set_num_threads(config.threads or torch.get_num_threads())
    built: dict[str, Any] = {
        part: instantiate(config[part], _convert_="all")
        for part in ("data", "task", "logger", "callbacks")
    }
    callbacks = built["callbacks"]
    trainer = instantiate(
        config.trainer, callbacks=list(callbacks.values()), logger=built["logger"]
    )
    run, folder = Path(config.run), Path(config.models)
    run.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, run / "config.yaml")
    last = run / "last.ckpt"
    resumed = str(last) if config.resume == "auto" and last.exists() else None
    trainer.fit(built["task"], built["data"], ckpt_path=resumed, weights_only=False)
    trainer.save_checkpoint(last)
    with callbacks["average"].applied():
        built["task"].write(folder)
    if trainer.global_step >= trainer.max_steps:
        (run / FINISHED).touch()
    log.info("weights of step %d are in %s", trainer.global_step, folder)
    return folder


@hydra.main(version_base=None, config_path=str(CONF), config_name="train")
def main(config: DictConfig) -> None:
    """The command line."""
    train(config)


if __name__ == "__main__":
    main()
