"""Draws on the engine that the service draws on: in process, or a Triton that is watched."""

import numpy as np
from jaxtyping import UInt8
from sqlalchemy import Engine

from luciole.domain import EngineBadOutput, EngineError, RenderPlan
from serving.gateway.drawing import Drawing, Look
from serving.jobs.artist import Pixels, Watch
from serving.orchestration.pictures import decode
from serving.storage.assets import content
from serving.storage.objects import Objects


class StoredPictures:
    """The pictures that plans name, from the object store."""

    def __init__(self, database: Engine, objects: Objects) -> None:
        self._database, self._objects = database, objects

    def open(self, name: str) -> UInt8[np.ndarray, "height width 3"]:
        """Pixels; InvalidRequest if there is no such picture."""
        return decode("picture", self.bytes_of(name))

    def bytes_of(self, name: str) -> bytes:
        """A file as it is; InvalidRequest if there is none, StorageUnavailable if it is away."""
        return content(self._database, self._objects, name)


class EngineArtist:
    """Steps of frames that are drawn together share calls of the engine."""

    def __init__(
        self, drawing: Drawing, database: Engine, objects: Objects, recovery: float
    ) -> None:
        """`recovery`: seconds to wait for an engine that is being healed."""
        self._drawing, self._recovery = drawing, recovery
        self._pictures = StoredPictures(database, objects)

    def draw(self, plan: RenderPlan, watch: Watch) -> Pixels:
        """EngineError where trying again may help; the engine's keeper is told of trouble."""
        self._drawing.keeper.wait_ready(self._recovery)
        batcher = self._drawing.batcher
        with batcher.open(deadline=watch.deadline, steps=plan.steps) as request:
            pipeline = self._drawing.pipeline.over(request, self._pictures)
            try:
                return pipeline.render([plan], watch.step, _look(watch))[0]
            except EngineError as error:
                if not isinstance(error, EngineBadOutput):
                    self._drawing.keeper.report_trouble()
                raise


def _look(watch: Watch) -> Look | None:
    show = watch.show
    if show is None:
        return None
    return lambda done, steps, now: show(done, steps, lambda: now()[0])
