"""The whole pipeline inside Triton: a plan comes in, progress streams out, then the picture.

It is the loop that runs in process; only the engine differs: it asks the server's other models, so
steps of different requests meet in their dynamic batchers. `repository.py` copies this file.
"""

import hashlib
import json
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found]


class ServerEngine:
    """Runs a bundle's graphs as models of this very server."""

    def __init__(self, bundle: Any, bank: Any) -> None:
        self.bundle, self.bank = bundle, bank

    def run(self, graph: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Outputs by name; EngineError with the server's words."""
        from luciole.domain import EngineError
        from luciole.engines.protocol import checked_inputs, graph_spec

        feed = checked_inputs(self.bundle, graph, inputs)
        names = [tensor.name for tensor in graph_spec(self.bundle, graph).outputs]
        # Triton's configuration knows no `[batch]`, only `[batch, 1]`.
        tensors = [
            pb_utils.Tensor(name, value.reshape(-1, 1) if value.ndim == 1 else value)
            for name, value in feed.items()
        ]
        asked = pb_utils.InferenceRequest(
            model_name=graph, requested_output_names=names, inputs=tensors
        )
        answer = asked.exec()
        if answer.has_error():
            raise EngineError(graph, answer.error().message())
        found = [pb_utils.get_output_tensor_by_name(answer, name) for name in names]
        return {name: tensor.as_numpy() for name, tensor in zip(names, found, strict=True)}

    def close(self) -> None:
        """Nothing is held."""


class TritonPythonModel:
    """What the stub looks for by this name; each request is drawn by a thread of its own."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the bundle; raising refuses the load."""
        settings = json.loads(
            json.loads(args["model_config"])["parameters"]["luciole"]["string_value"]
        )
        sys.path.append(settings["source"])
        from luciole.bundle import Bundle
        from luciole.engines.bank import StyleBank
        from luciole.pipeline import Pipeline

        bundle = Bundle.open(settings["folder"])
        specs, bank = bundle.manifest.banks, None
        if specs:
            places = range(*settings["places"])
            bank = StyleBank(specs, places.stop, Path(settings["bank"]), places)
        self.pipeline = Pipeline(ServerEngine(bundle, bank))
        self.at_once, self.open = settings["at_once"], 0
        self.lock = threading.Lock()
        self.pool = ThreadPoolExecutor(self.at_once, "generate")

    def execute(self, requests: Sequence[Any]) -> None:
        """Take each request on, or say at once that there are too many."""
        for request in requests:
            sender = request.get_response_sender()
            with self.lock:
                full = self.open >= 4 * self.at_once
                self.open += not full
            if full:
                _fail(sender, "busy: queue: too many pictures wait; try again later", "UNAVAILABLE")
                continue
            plan = pb_utils.get_input_tensor_by_name(request, "plan").as_numpy()
            files = pb_utils.get_input_tensor_by_name(request, "pictures")
            given = [] if files is None else [bytes(one) for one in files.as_numpy().ravel()]
            self.pool.submit(self._answer, sender, plan.ravel()[0], given)

    def finalize(self) -> None:
        """Let go of the threads."""
        self.pool.shutdown(cancel_futures=True)

    def _answer(self, sender: Any, plan: bytes, files: list[bytes]) -> None:
        from luciole.domain import Cancelled, InvalidRequest, LucioleError

        try:
            self._draw(sender, plan, files)
        except Cancelled as error:
            _fail(sender, f"{error.code}: {error}", "CANCELLED")
        except InvalidRequest as error:
            _fail(sender, f"{error.code}: {error}", "INVALID_ARG")
        except LucioleError as error:
            _fail(sender, f"{error.code}: {error}", "INTERNAL")
        except Exception as error:  # the top of a worker: any failure becomes an answer
            _fail(sender, f"internal: {type(error).__name__}: {error}", "INTERNAL")
        finally:
            with self.lock:
                self.open -= 1

    def _draw(self, sender: Any, text: bytes, files: list[bytes]) -> None:
        from pydantic import ValidationError

        from luciole.domain import Cancelled, InvalidRequest, RenderPlan
        from luciole.pictures import PicturesInMemory, decoded

        try:
            plan = RenderPlan.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "plan"
            raise InvalidRequest(place, first["msg"]) from error
        pictures = PicturesInMemory(
            {hashlib.sha256(file).hexdigest(): decoded(file) for file in files}
        )

        def tell(done: int, total: int) -> None:
            if sender.is_cancelled():
                raise Cancelled("request", "its caller has gone")
            sender.send(_response({"done": done, "total": total}))

        view = self.pipeline.over(self.pipeline.engine, pictures)
        picture = view.render([plan], progress=tell)[0]
        tensor = pb_utils.Tensor("picture", np.ascontiguousarray(picture))
        sender.send(_response({"finished": True}, tensor), flags=_FINAL)


_FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


def _response(event: Mapping[str, Any], *more: Any) -> Any:
    told = pb_utils.Tensor("event", np.array([json.dumps(event).encode()], np.object_))
    return pb_utils.InferenceResponse([told, *more])


def _fail(sender: Any, message: str, kind: str) -> None:
    error = pb_utils.TritonError(message, getattr(pb_utils.TritonError, kind))
    sender.send(pb_utils.InferenceResponse(error=error), flags=_FINAL)
