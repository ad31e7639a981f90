"""`python -m training experiment=pocket_autoencoder`: train what the configuration says."""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from training.run import FINISHED, train

CONF = Path(__file__).parents[1] / "conf"
__all__ = ["CONF", "FINISHED", "main", "train"]


@hydra.main(version_base=None, config_path=str(CONF), config_name="train")
def main(config: DictConfig) -> None:
    """The command line."""
    train(config)


if __name__ == "__main__":
    main()
