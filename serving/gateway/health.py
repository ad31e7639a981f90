"""Is it there, can it draw, how is it doing, what is it: for machines and for the curious."""

import asyncio
import html
import time
from dataclasses import dataclass
from string import Template
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from luciole.domain import EngineError
from serving.gateway.backlog import Backlog
from serving.gateway.drawing import Drawing
from serving.gateway.metrics import Metrics

PAGE = Template("""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Luciole</title>
<style>body{font:16px/1.5 system-ui;max-width:44rem;margin:4rem auto;padding:0 1rem}
pre{background:#f4f4f6;padding:1rem;overflow:auto;border-radius:.5rem}</style>
<h1>Luciole</h1>
<p>Pictures from words. Model <b>$model</b>, engine <b>$engine</b>. $notice</p>
<pre>curl -s $host/v1/images/generations -H 'content-type: application/json' \\
  -d '{"prompt": "anime girl walking in rain", "seed": 1}'</pre>
<ul>
<li><code>POST /v1/images/generations</code>: OpenAI's shape; also <code>negative_prompt
num_inference_steps guidance_scale seed solver styles</code></li>
<li><a href="/docs">/docs</a>: every field</li>
<li><a href="/v1/models">/v1/models</a></li>
<li><a href="/healthz">/healthz</a>: the process answers;
<a href="/readyz">/readyz</a>: a real inference succeeds;
<a href="/metrics">/metrics</a>: Prometheus</li>
</ul></html>
""")


class Readiness:
    """Proves the engine by a real inference, and repeats the outcome for `seconds`."""

    def __init__(self, drawing: Drawing, seconds: float, patience: float) -> None:
        self._drawing, self._seconds, self._patience = drawing, seconds, patience
        self._lock = asyncio.Lock()
        self._until = 0.0
        self._trouble: EngineError | None = None

    async def check(self) -> None:
        """EngineError when the engine cannot draw now; any number of callers cost one proof."""
        async with self._lock:
            if time.monotonic() >= self._until:
                self._trouble = await self._outcome()
                self._until = time.monotonic() + self._seconds
            if self._trouble is not None:
                raise self._trouble

    async def _outcome(self) -> EngineError | None:
        try:
            async with asyncio.timeout(self._patience):
                await asyncio.to_thread(self._drawing.prove)
        except TimeoutError:
            return EngineError("engine", f"no answer within {self._patience:g} s")
        except EngineError as error:
            return error
        return None


@dataclass(frozen=True)
class Health:
    """What the pages beside the API tell of."""

    drawing: Drawing
    readiness: Readiness
    metrics: Metrics
    backlog: Backlog


async def health_of(request: Request) -> Health:
    """That of the app that answers."""
    health: Health = request.app.state.health
    return health


Its = Annotated[Health, Depends(health_of)]
router = APIRouter(tags=["health"])


@router.get("/", include_in_schema=False)
async def start(request: Request, its: Its) -> HTMLResponse:
    """Say what this is, and where everything else is."""
    words = {
        "host": html.escape(str(request.base_url).rstrip("/")),
        "model": html.escape(its.drawing.pipeline.manifest.name),
        "engine": its.drawing.engine,
        "notice": html.escape(its.drawing.notice or ""),
    }
    return HTMLResponse(PAGE.substitute(words))


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(its: Its) -> dict[str, str]:
    """A real inference succeeds."""
    await its.readiness.check()
    return {"status": "ready", "engine": its.drawing.engine}


@router.get("/metrics", response_class=PlainTextResponse)
async def show(its: Its) -> Response:
    """Numbers for Prometheus."""
    await its.backlog.look()
    return Response(its.metrics.text(), media_type=CONTENT_TYPE_LATEST)
