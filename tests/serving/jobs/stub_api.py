"""A real gateway without an engine, set by LUCIOLE_..."""

from luciole.engines.batcher import StepBatcher
from serving.bootstrap import configure_logging, prepare_state
from serving.gateway.app import create_app
from serving.gateway.drawing import Drawing, InProcess
from serving.run import listening, server
from serving.settings import Settings
from tests.serving.gateway.conftest import NoEngine, Painter


def main() -> None:
    settings = Settings()
    configure_logging(settings.log_level)
    prepare_state(settings)
    with listening(settings) as door:
        drawing = Drawing(Painter(), StepBatcher(NoEngine()), "painter", InProcess(), lambda: None)
        server(create_app(drawing, settings)).run(sockets=[door])
