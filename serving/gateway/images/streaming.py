"""Pictures as they come, as OpenAI's server-sent events."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pybase64
from sse_starlette import ServerSentEvent

from luciole.domain import LucioleError, RenderPlan
from serving.gateway.admission import file_of
from serving.gateway.drawing import Pixels
from serving.gateway.errors import answer_to
from serving.gateway.images.form import ImagesRequest
from serving.gateway.parts import Parts
from serving.gateway.renderer import Views


async def streamed(
    asked: ImagesRequest, plans: list[RenderPlan], tenant: str, parts: Parts, kind: str
) -> AsyncIterator[ServerSentEvent]:
    """`kind`.partial_image some times, then `kind`.completed, for each picture."""
    for plan in plans:
        line: asyncio.Queue[tuple[int, Pixels] | None] = asyncio.Queue()
        drawing = asyncio.create_task(_draw(plan, asked.partial_images or 0, parts, line))
        try:
            while (partial := await line.get()) is not None:
                index, pixels = partial
                said = await _said(asked, plan, pixels, parts)
                yield _event(f"{kind}.partial_image", said | {"partial_image_index": index})
            whole = await _said(asked, plan, await drawing, parts)
        except LucioleError as error:
            yield _failure(error)
            return
        finally:
            drawing.cancel()
        parts.meter.note(tenant, [plan])
        yield _event(f"{kind}.completed", whole)


async def _draw(
    plan: RenderPlan,
    partials: int,
    parts: Parts,
    line: "asyncio.Queue[tuple[int, Pixels] | None]",
) -> Pixels:
    """Draw one picture; views of it on the way go into the line, None at its end."""
    loop = asyncio.get_running_loop()

    def see(index: int, pixels: Pixels) -> None:
        loop.call_soon_threadsafe(line.put_nowait, (index, pixels))

    try:
        [pixels] = await parts.renderer.render([plan], Views(partials, see))
    finally:
        line.put_nowait(None)
    return pixels


async def _said(
    asked: ImagesRequest, plan: RenderPlan, pixels: Pixels, parts: Parts
) -> dict[str, Any]:
    file = await asyncio.to_thread(file_of, parts, pixels, plan, asked.form, asked.compression)
    return {
        "b64_json": pybase64.b64encode_as_string(file),
        "created_at": int(time.time()),
        "size": f"{plan.width}x{plan.height}",
        "quality": asked.told_quality,
        "background": "opaque",
        "output_format": asked.form.value,
        "seed": plan.seed,
        "usage": {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0,
                  "input_tokens_details": {"image_tokens": 0, "text_tokens": 0}},
    }  # fmt: skip


def _event(kind: str, said: dict[str, Any]) -> ServerSentEvent:
    return ServerSentEvent(json.dumps({"type": kind} | said), event=kind)


def _failure(error: LucioleError) -> ServerSentEvent:
    """As OpenAI's clients find it in a stream that has begun."""
    said = {"message": str(error), "type": answer_to(error).type, "param": error.field,
            "code": error.code}  # fmt: skip
    return ServerSentEvent(json.dumps({"error": said}), event="error")
