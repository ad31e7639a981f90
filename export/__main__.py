"""`python -m export folder=<diffusers folder> out=out/bundle`: write a bundle, and prove it."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from transformers.utils import logging as transformers_logging

from export.bundle import Export, SizeLimits
from export.guides import Guides
from export.parity import table
from luciole.bundle import Bundle
from luciole.domain import BundleError, ControlKind, InvalidRequest, LucioleError
from luciole.shipped import shipped_guides, shipped_model, shipped_styles

CONF = Path(__file__).parents[1] / "conf"


def export_of(config: DictConfig) -> Export:
    """What the configuration asks for."""
    return Export(
        model=Path(config.folder) if config.folder else shipped_model(),
        out=Path(config.out),
        target=instantiate(config.target.graphs),
        engines=instantiate(config.target.engines),
        name=config.name,
        licence=config.licence,
        tolerance=config.tolerance,
        threads=config.threads,
        stream=config.stream,
        styles=_styles(config),
        guides=_guides(config),
        sizes=SizeLimits(**OmegaConf.to_container(config.sizes)),  # type: ignore[arg-type]
    )


def _ships(config: DictConfig) -> bool:
    """Whether it is the base that comes with Luciole, named or not."""
    return not config.folder or Path(config.folder).resolve() == shipped_model().resolve()


def _styles(config: DictConfig) -> tuple[Path, ...]:
    """Those that were named, else those that ship with the shipped base."""
    if config.styles is not None:
        return tuple(Path(file) for file in config.styles)
    return shipped_styles() if _ships(config) else ()


def _guides(config: DictConfig) -> Guides:
    """Folders that were named; with the shipped base, where none is, those that ship with it."""
    shipped = shipped_guides() if _ships(config) else {}
    named = {
        kind: Path(config[kind]) if config[kind] is not None else shipped.get(kind)
        for kind in ("vision", "looks", "identity", *(f"control_{kind}" for kind in ControlKind))
    }
    controls = {kind: named[f"control_{kind}"] for kind in ControlKind}
    return Guides(
        vision=named["vision"],
        looks=named["looks"],
        identity=named["identity"],
        controls={kind: path for kind, path in controls.items() if path is not None},
        anchors=config.anchors if config.anchors is not None else _ships(config),
    )


def export(config: DictConfig, console: Console) -> None:
    """Run the export under a progress bar and print the parity table."""
    started = time.monotonic()
    repository = config.target.repository
    if repository is not None and Path(repository.out).exists():
        raise InvalidRequest("target.repository.out", f"{repository.out} exists; name a new folder")
    work = export_of(config)
    quiet: Any = transformers_logging
    quiet.disable_progress_bar()  # transformers' own, in the middle of ours
    columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("starting", total=work.steps)

        def step(what: str) -> None:
            bar.update(task, description=what)
            bar.advance(task)

        bundle, agreements = work.run(step)
        bar.update(task, description="done", completed=work.steps)
    if agreements:
        console.print(table(agreements))
    if config.target.repository is not None:
        write_repository(
            bundle, Path(config.target.repository.out), config.target.repository.native
        )
    seconds = time.monotonic() - started
    console.print(f"{bundle.manifest.name} is in {bundle.path} ({seconds:.0f} s)")


def write_repository(bundle: Bundle, out: Path, native: bool) -> None:
    """What a Triton server loads: the business of `serving`, which runs as a program of its own.

    BundleError if it fails.
    """
    command = [sys.executable, "-m", "serving", "triton-repository", "--out", str(out.resolve())]
    told = {**os.environ, "LUCIOLE_BUNDLE": str(bundle.path.resolve())}
    done = subprocess.run(  # noqa: S603 - our own arguments only
        [*command, *(["--native"] if native else [])], cwd=CONF.parent, env=told, check=False
    )
    if done.returncode != 0:
        raise BundleError(str(out), f"the repository ended with status {done.returncode}")


@hydra.main(version_base=None, config_path=str(CONF), config_name="export")
def main(config: DictConfig) -> None:
    """The command line; a deliberate failure is one line and exit status 1."""
    console = Console()
    try:
        export(config, console)
    except (LucioleError, InstantiationException) as error:
        Console(stderr=True).print(f"[red]export failed:[/] {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
