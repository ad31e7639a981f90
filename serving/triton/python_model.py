"""One graph behind Triton's Python backend; `repository.py` copies this file for each.

It runs in Triton's own environment, where nothing of Luciole is installed. What was compiled for
this machine needs torch or OpenVINO there, and the library's sources.
"""

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found]


class TritonPythonModel:
    """What the stub looks for by this name: one onnxruntime session, batched by the server."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the graph once numpy and every hash are right; raising refuses the load."""
        if int(np.__version__.split(".")[0]) >= 2:
            raise RuntimeError(f"numpy {np.__version__} in the stub: it must be < 2")
        config = json.loads(args["model_config"])
        settings = json.loads(config["parameters"]["luciole"]["string_value"])
        folder = Path(settings["folder"])
        for name, expected in settings["files"].items():
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != expected:
                raise RuntimeError(f"{name}: its hash is not the manifest's")
        onnx = settings["runtime"] == "onnx"
        # torch takes no array that cannot be written to
        resident = {
            name: np.asarray(np.load(file, mmap_mode="r" if onnx else "r+"))
            for name, file in settings["resident"].items()
        }
        self.session = _onnx(settings) if onnx else _compiled(settings, resident)
        self.resident = resident if onnx else {}
        self.ranks = settings["ranks"]
        self.outputs = [output["name"] for output in config["output"]]
        self.fewer_places = onnx and _takes_fewer_places(self.session)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Run what the server batched in one go; where that fails, each alone, to blame one."""
        live = [request for request in requests if not request.is_cancelled()]
        answers: dict[int, Any] = {}
        try:
            answers = self._together(live)
        except Exception as error:  # the top of a worker: any failure becomes an answer
            if len(live) == 1:
                answers = {id(live[0]): _failure(error)}
            else:
                for request in live:
                    answers[id(request)] = self._alone(request)
        return [answers.get(id(request)) or _cancelled() for request in requests]

    def _alone(self, request: Any) -> Any:
        try:
            return self._together([request])[id(request)]
        except Exception as error:  # the top of a worker: any failure becomes an answer
            return _failure(error)

    def _together(self, requests: Sequence[Any]) -> dict[int, Any]:
        """Join along the batch axis, run once, and cut the outputs apart again."""
        if not requests:
            return {}
        rows = [{name: self._read(request, name) for name in self.ranks} for request in requests]
        feed = {name: np.concatenate([row[name] for row in rows]) for name in self.ranks}
        if self.fewer_places and not feed["style_slot"].any():
            feed |= {name: feed[name][:, :0] for name in ("style_slot", "style_weight")}
        results = self.session.run(self.outputs, {**feed, **self.resident})
        counts = [len(next(iter(row.values()))) for row in rows]
        cuts = np.cumsum(counts)[:-1]
        parts = [np.split(result, cuts) for result in results]
        return {
            id(request): pb_utils.InferenceResponse(
                [
                    pb_utils.Tensor(name, np.ascontiguousarray(part[i]))
                    for name, part in zip(self.outputs, parts, strict=True)
                ]
            )
            for i, request in enumerate(requests)
        }

    def _read(self, request: Any, name: str) -> Any:
        """Drop the axis of one that Triton's configuration adds to a bare `[batch]` input."""
        value = pb_utils.get_input_tensor_by_name(request, name).as_numpy()
        return value.reshape(len(value)) if self.ranks[name] == 1 else value


def _onnx(settings: dict[str, Any]) -> Any:
    options = ort.SessionOptions()
    # As luciole.engines.onnx has them: the same picture must come from both.
    options.intra_op_num_threads = settings["threads"]
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    file = str(Path(settings["folder"]) / settings["graph"])
    return ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def _takes_fewer_places(session: Any) -> bool:
    """As luciole.engines.onnx has it: rows without a style then need not read the bank."""
    shapes = {port.name: port.shape for port in session.get_inputs()}
    return isinstance(shapes.get("style_slot", [0])[-1], str)


def _compiled(settings: dict[str, Any], resident: dict[str, Any]) -> Any:
    """Refuses the load where the graph was compiled for another machine."""
    sys.path.append(settings["source"])
    from luciole.bundle import Bundle
    from luciole.compiled import Runtime

    bundle, runtime = Bundle.read(settings["folder"]), Runtime(settings["runtime"])
    if runtime is Runtime.OPENVINO:
        from luciole.engines.openvino import open_session as open_here

        return open_here(bundle, settings["name"], resident, settings["threads"])
    from luciole.engines.compiled import open_session

    loads = np.load(settings["loads"], mmap_mode="r") if resident else None
    return open_session(bundle, runtime, settings["name"], resident, loads)


def _failure(error: Exception) -> Any:
    return pb_utils.InferenceResponse(
        error=pb_utils.TritonError(
            f"{type(error).__name__}: {error}", pb_utils.TritonError.INTERNAL
        )
    )


def _cancelled() -> Any:
    return pb_utils.InferenceResponse(
        error=pb_utils.TritonError("the caller has gone", pb_utils.TritonError.CANCELLED)
    )
