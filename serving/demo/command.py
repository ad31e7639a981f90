"""Exports what is missing, starts the service, asks it for pictures as any client would."""

import base64
import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import FastAPI
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from luciole.domain import EngineError
from luciole.shipped import shipped_model
from serving.bootstrap import configure_logging, service
from serving.demo.page import Shown, contact_sheet, page, write
from serving.demo.prompts import PROMPTS
from serving.exported import ensure
from serving.run import address_of, default_bundle, listening, server
from serving.settings import Settings

SECONDS_PER_PICTURE = 120


def demo(
    settings: Settings,
    out: Path,
    *,
    keep: bool,
    console: Console,
    prompts: Sequence[tuple[str, int]] = PROMPTS,
) -> Path:
    """Draw the prompts through HTTP into `out`; the path of the page.

    What was started is stopped at the end, or with `keep` at Ctrl-C.
    """
    configure_logging("WARNING")
    if default_bundle(settings):
        console.print("[bold]1[/] the model as a bundle of ONNX graphs", highlight=False)
        if not ensure(settings.bundle, shipped_model()):
            console.print(f"  {settings.bundle} is up to date", highlight=False)
    console.print("[bold]2[/] the engine and the service", highlight=False)
    with contextlib.ExitStack() as held:
        door = held.enter_context(listening(settings, otherwise_any=True))
        with console.status("starting Triton and proving it with numbers"):
            app, drawing = held.enter_context(service(settings))
            address = held.enter_context(serving(app, address_of(door), door))
        console.print(f"  {drawing.engine} behind {address}", highlight=False)
        if drawing.notice:
            console.print(f"  [yellow]{drawing.notice}[/]", highlight=False)
        console.print("[bold]3[/] pictures, over HTTP", highlight=False)
        shown = ask_for_all(address, prompts, console)
        model = drawing.pipeline.manifest
        text = page(shown, model.name, model.licence, drawing.notice)
        made = write(out, text, contact_sheet(shown))
        console.print(
            f"[bold green]done[/]: open {made.resolve()}", highlight=False, soft_wrap=True
        )
        if keep:
            console.print(f"serving at {address} - Ctrl-C stops it", highlight=False)
            threading.Event().wait()
        console.print(f"the service was at {address}; `make up` keeps one", highlight=False)
    return made


@contextlib.contextmanager
def serving(app: FastAPI, address: str, door: socket.socket) -> Iterator[str]:
    """Run the gateway in a thread for the time of the block; its address."""
    gateway = server(app)
    thread = threading.Thread(target=gateway.run, kwargs={"sockets": [door]}, name="gateway")
    thread.start()
    try:
        while not gateway.started:
            if not thread.is_alive():
                raise EngineError("gateway", "ended while it started")
            time.sleep(0.02)
        yield address
    finally:
        gateway.should_exit = True
        thread.join()


def ask_for_all(address: str, prompts: Sequence[tuple[str, int]], console: Console) -> list[Shown]:
    """Ask for one picture after another under a bar."""
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    shown = []
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("drawing", total=len(prompts))
        for prompt, seed in prompts:
            shown.append(ask(address, prompt, seed))
            bar.advance(task)
    return shown


def ask(address: str, prompt: str, seed: int) -> Shown:
    """Ask the service for one picture; EngineError with its words when it refuses."""
    began = time.perf_counter()
    link = HTTPConnection(urlsplit(address).netloc, timeout=SECONDS_PER_PICTURE)
    with contextlib.closing(link):
        body = json.dumps({"prompt": prompt, "seed": seed})
        headers = {"content-type": "application/json"}
        link.request("POST", "/v1/images/generations", body, headers)
        answer = json.loads(link.getresponse().read())
    if "error" in answer:
        raise EngineError("service", answer["error"]["message"])
    png = base64.b64decode(answer["data"][0]["b64_json"])
    return Shown(prompt, seed, time.perf_counter() - began, answer["engine"], png)
