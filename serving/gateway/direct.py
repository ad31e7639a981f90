"""A route that is called without a search for what it depends on, for what is asked for most."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, get_args, get_type_hints

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from luciole.domain import InvalidRequest
from serving.gateway.auth.needs import Needs
from serving.gateway.errors import fault

T = TypeVar("T", bound=BaseModel)


class DirectRoute(APIRoute):
    """Calls its endpoint with `asked`, `request` and `caller`, and describes it as any other.

    FastAPI solves each dependency within a solved one, and reads a body into Python's objects
    before the model reads those. Here the caller is known before a word of the body is read.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Read from the endpoint's signature: asked: a model, request: Request, caller: Drawer."""
        endpoint, hints = self.endpoint, get_type_hints(self.endpoint, include_extras=True)
        model, needs = hints["asked"], _needs(hints["caller"])

        async def handled(request: Request) -> Response:
            caller = await needs(request)
            asked = await read(request, model)
            answer: Response = await endpoint(asked=asked, request=request, caller=caller)
            return answer

        return handled


async def read(request: Request, model: type[T]) -> T:
    """The body, which must be JSON; InvalidRequest names the field that is wrong."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and "+json" in kind):
        raise InvalidRequest("body", "must be JSON, sent with content-type: application/json")
    try:
        body = await request.body()
    except ClientDisconnect:
        raise HTTPException(400, "the body ended too early") from None
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise fault(error, {}) from None


def _needs(hint: Any) -> Needs:
    found = [one.dependency for one in get_args(hint)[1:] if hasattr(one, "dependency")]
    if len(found) != 1 or not isinstance(found[0], Needs):
        raise TypeError(f"caller must be annotated with one Needs, not {hint}")
    return found[0]
