"""Runs training in processes of their own that can be killed."""

import multiprocessing
import os
import random
import signal
import socket
import time
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
from omegaconf import DictConfig

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["training.run", "training.clip", "training.denoiser"])


def in_process(config: DictConfig, environment: Mapping[str, str]) -> None:
    """What each process does; the environment says which rank it is."""
    os.environ.update(environment)
    torch.set_num_threads(1)
    from training.run import train

    train(config)


def start(config: DictConfig, ranks: int = 1) -> list[BaseProcess]:
    """The run's processes: with several ranks as a cluster starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(ranks)}
    processes = []
    for rank in range(ranks):
        mine = {"LOCAL_RANK": str(rank), "NODE_RANK": "0", **shared} if ranks > 1 else {}
        process = FORKS.Process(target=in_process, args=(config, mine))
        process.start()
        processes.append(process)
    return processes


def finish(config: DictConfig, ranks: int = 1) -> None:
    """Run to the end."""
    for process in start(config, ranks):
        process.join(600)
        assert process.exitcode == 0


def kill_somewhere(config: DictConfig, rows: int, ranks: int = 1) -> int:
    """Kill -9 at a random moment after a random row of its log, the first checkpoint written.

    Returns the number of rows that were there.
    """
    processes = start(config, ranks)
    metrics, last = Path(config.run) / "metrics.csv", Path(config.run) / "last.ckpt"
    wanted = random.randint(2, rows)
    end = time.monotonic() + 600
    while not (last.exists() and metrics.exists() and lines(metrics) >= wanted):
        assert time.monotonic() < end
        assert all(process.is_alive() for process in processes)
        time.sleep(0.002)
    time.sleep(random.random() * 0.05)
    for process in processes:
        os.kill(process.pid or 0, signal.SIGKILL)
    for process in processes:
        process.join()
        assert process.exitcode == -signal.SIGKILL
    return lines(metrics)


def lines(metrics: Path) -> int:
    """Rows of a log, without its header."""
    return max(0, metrics.read_text().count("\n") - 1)
