"""What every request for pictures must pass, whichever route it took."""

import asyncio
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from luciole.domain import RenderPlan
from serving.gateway.drawing import Pixels
from serving.gateway.encoding import DEFAULT_COMPRESSION, PictureFormat
from serving.gateway.parts import Parts

P = ParamSpec("P")
R = TypeVar("R")


async def aside(parts: Parts, check: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run what judges words: in a thread where a service may be asked, else at once."""
    wording = parts.drawing.wording
    if wording is not None and wording.policy.asks:
        return await asyncio.to_thread(check, *args, **kwargs)
    return check(*args, **kwargs)


async def check_words(parts: Parts, *words: str) -> None:
    """PromptUnsafe if the content policy does not let them be drawn."""
    if parts.drawing.wording is not None:
        check = parts.drawing.wording.policy.check_prompt
        await aside(parts, check, ", ".join(word for word in words if word))


async def admit(parts: Parts, tenant: str, plans: Sequence[RenderPlan]) -> None:
    """PromptUnsafe, RateLimited or QuotaExceeded; plans of one request share their words."""
    wording, plan = parts.drawing.wording, plans[0]
    if wording is not None:
        await aside(parts, wording.policy.check_prompt, plan.prompt, plan.negative_prompt)
    await parts.accounts.take(tenant, plans)


def file_of(
    parts: Parts,
    pixels: Pixels,
    plan: RenderPlan,
    form: PictureFormat = PictureFormat.PNG,
    compression: int = DEFAULT_COMPRESSION,
) -> bytes:
    """The picture's file, if the content policy lets it out; ImageUnsafe. Belongs in a thread."""
    if parts.drawing.wording is not None:
        parts.drawing.wording.policy.check_picture(pixels)
    return parts.encoder.file(pixels, plan, form, compression)
