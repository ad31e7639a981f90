"""`dry_run=true`: what a run would train on what, how large it is and where it goes on; no step."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table
from torch import nn

from luciole.data.pictures import Pictures
from training.checkpoint import check_resumed, read_checkpoint
from training.run import FINISHED, last_checkpoint, resolved

DRAWN = "luciole.data.pictures.Pictures.draw"


def show(config: DictConfig) -> None:
    """Print the plan; reads weights and writes nothing. Fails where the run would."""
    resolved(config)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        task = instantiate(config.task, _convert_="all")
    console = Console(width=100)
    console.print(parameters(task))
    console.print(memory(task, per_weight(config)))
    console.print(plan(config))
    console.print(caches(config))
    console.print(resume_state(config, task))


def parameters(task: nn.Module) -> Table:
    """By part: all, and those that train."""
    table = _table("parameters", "all", "trainable")
    for name, part in task.named_children():
        if any(True for _ in part.parameters()):
            table.add_row(name, f"{_count(part):,}", f"{_count(part, True):,}")
    table.add_row("together", f"{_count(task):,}", f"{_count(task, True):,}", style="bold")
    return table


def memory(task: nn.Module, optimizer: float) -> Table:
    """Of one device; `optimizer` is bytes of state for each weight that trains."""
    trains = [weight for weight in task.parameters() if weight.requires_grad]
    trained = sum(weight.numel() for weight in trains)
    sizes = {
        "weights": sum(p.numel() * p.element_size() for p in task.parameters()),
        "gradients": sum(p.numel() * p.element_size() for p in trains),
        "optimizer": round(trained * optimizer),
        "moving average": 4 * trained,
    }
    table = _table("memory, estimated", "MiB")
    for name, size in {**sizes, "together": sum(sizes.values())}.items():
        table.add_row(name, f"{size / 2**20:,.1f}")
    table.add_row("activations", "not included: they grow with data.batch_size")
    return table


def per_weight(config: DictConfig) -> float:
    """Bytes of state that the configured optimizer keeps for a weight, found by one step of it."""
    weight = nn.Parameter(torch.zeros(128, 128))
    weight.grad = torch.zeros_like(weight)
    optimizer = instantiate(config.task.optimizer, _convert_="all")([{"params": [weight]}])
    optimizer.step()
    kept = [each for each in optimizer.state[weight].values() if torch.is_tensor(each)]
    return sum(each.numel() * each.element_size() for each in kept) / weight.numel()


def plan(config: DictConfig) -> Table:
    """Steps, and how often each row would be seen."""
    trainer = config.trainer
    ranks = _ranks(trainer)
    batch = config.data.batch_size * trainer.accumulate_grad_batches * ranks
    rows = sum(node.count for key, node in _drawn(config) if key.startswith("data.train"))
    table = _table("plan", "")
    table.add_row("steps", f"{trainer.max_steps:,}")
    table.add_row(
        "samples a step",
        f"{batch:,} = {config.data.batch_size} in a batch x {trainer.accumulate_grad_batches} "
        f"accumulated x {ranks} ranks",
    )
    table.add_row("rows", f"{rows:,}" if rows else "known once the data set is read")
    if rows:
        table.add_row("epochs", f"{trainer.max_steps * batch / rows:,.2f}")
    table.add_row("precision", str(trainer.precision))
    table.add_row("written to", str(config.models))
    return table


def caches(config: DictConfig) -> Table:
    """What is drawn or encoded already, by the key of the configuration that asks for it."""
    table = _table("caches", "state")
    for key, node in _drawn(config):
        if node._target_ == DRAWN:
            asked = (node.count, node.folder, node.split, node.size, node.shard)
            there, wanted = Pictures.drawn(*asked)
            table.add_row(key, f"{there} of {wanted} shards are drawn in {node.folder}")
    for key, node in _nodes(config.data, "data"):
        folder = Path(node.get("folder") or ".")
        if folder.is_relative_to(config.out) and node.get("_target_") != DRAWN:
            files = [file for file in folder.rglob("*") if file.is_file()]
            size = sum(file.stat().st_size for file in files) / 2**20
            table.add_row(key, f"{len(files)} files, {size:,.1f} MiB in {folder}")
    return table


def resume_state(config: DictConfig, task: Any) -> Table:
    """Where the run would begin; raise BadCheckpoint where it could not go on."""
    table = _table("resume", "")
    last = last_checkpoint(config)
    if last is None:
        table.add_row("begins", "anew, at step 0")
        return table
    check_resumed(last, task)
    step = read_checkpoint(last)["global_step"]
    finished = (Path(config.run) / FINISHED).exists()
    table.add_row("goes on", f"from step {step} of {last}{', which is finished' * finished}")
    return table


def _ranks(trainer: DictConfig) -> int:
    devices = trainer.devices if isinstance(trainer.devices, int) and trainer.devices > 0 else 1
    return devices * int(trainer.get("num_nodes", 1))


def _drawn(config: DictConfig) -> list[tuple[str, DictConfig]]:
    """The nodes that have the storyworld draw pictures."""
    nodes = _nodes(config.data, "data")
    return [(key, node) for key, node in nodes if "count" in node and "shard" in node]


def _nodes(node: Any, key: str) -> Iterator[tuple[str, DictConfig]]:
    if isinstance(node, DictConfig):
        yield key, node
        for name in node:
            yield from _nodes(node[name], f"{key}.{name!s}")


def _count(module: nn.Module, trainable: bool = False) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trainable)


def _table(*titles: str) -> Table:
    table = Table(title_justify="left", min_width=60)
    for index, title in enumerate(titles):
        table.add_column(title, justify="right" if index and len(titles) > 2 else "left")
    return table
