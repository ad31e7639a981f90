"""`python -m training experiment=pocket_autoencoder`: train what the configuration says."""

import os
import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from training import overrides
from training.dry_run import show
from training.run import FINISHED, train

CONF = Path(__file__).parents[1] / "conf"
__all__ = ["CONF", "FINISHED", "main", "train"]


@hydra.main(version_base=None, config_path=str(CONF), config_name="train")
def run(config: DictConfig) -> None:
    """With a configuration that is known to be sound."""
    train(config)


def main() -> None:
    """The command line: what is mistyped ends it with one line and status 2."""
    words = ["dry_run=true" if word == "--dry-run" else word for word in sys.argv[1:]]
    sys.argv[1:] = words
    if "LOCAL_RANK" not in os.environ:
        try:
            config = overrides.check(CONF, "train", words)
        except overrides.BadOverride as error:
            sys.exit(_told(error))
        if config is not None and config.dry_run:
            return show(config)
    run()
    return None


def _told(error: overrides.BadOverride) -> int:
    print(error, file=sys.stderr)  # noqa: T201
    return 2


if __name__ == "__main__":
    main()
