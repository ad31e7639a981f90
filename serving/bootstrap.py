"""The one place where a service is wired: settings -> bundle -> engine -> pipeline -> app."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog
from fastapi import FastAPI

from luciole.bundle import Bundle
from luciole.compiled import Runtime
from luciole.domain import EngineError
from luciole.engines import Engine
from luciole.engines.bank import StyleBank
from luciole.engines.batcher import BatchLimits, StepBatcher
from luciole.engines.triton import TritonEngine
from luciole.pipeline import Pipeline
from serving.engines import in_process, probes_of
from serving.gateway.app import create_app
from serving.gateway.drawing import Drawing, InProcess
from serving.jobs.durable import migrate_durable
from serving.orchestration.characters.encoder import image_encoder, looks_encoder
from serving.orchestration.policy_guard import GuardedPipeline
from serving.orchestration.wording import Remote, Wording, WordingChoices
from serving.probe import Probe, prove
from serving.settings import EngineChoice, Settings
from serving.storage.database import open_database
from serving.storage.migrate import migrate
from serving.triton import environment, repository, shares
from serving.triton.distant import Distant
from serving.triton.errors import TritonUnavailable
from serving.triton.server import TritonServer
from serving.triton.supervisor import Supervisor

ROOT = Path(__file__).parents[1]
"""The checkout, where `.venv-triton` lies."""
START_SECONDS = 120.0
"""How long a Triton that somebody else runs is waited for."""
log = structlog.get_logger()


@dataclass(frozen=True)
class _OwnTriton:
    """A server that this process started, its share of the bank, and the bank's folder."""

    supervisor: Supervisor
    bank: StyleBank | None
    shared: Path


@contextmanager
def service(settings: Settings) -> Iterator[tuple[FastAPI, Drawing]]:
    """An app over a proven engine; what was started is stopped at the end of the block."""
    prepare_state(settings)
    with drawing(settings) as ready:
        yield create_app(ready, settings), ready


def prepare_state(settings: Settings) -> None:
    """See to it that the state's folder and every table are there."""
    settings.state_folder.mkdir(parents=True, exist_ok=True)
    engine = open_database(settings.database)
    try:
        migrate(engine)
    finally:
        engine.dispose()
    migrate_durable(settings.database)


@contextmanager
def drawing(settings: Settings) -> Iterator[Drawing]:
    """Open the bundle and start the engine of choice; BundleError or EngineError if it cannot be.

    With `auto`, a machine without Triton gets the in-process engine, and `notice` says why.
    """
    bundle = Bundle.open(settings.bundle)
    wording = Wording.of(bundle, _choices(settings))
    with ExitStack() as held:
        probes = probes_of(bundle, settings.runtime, settings.threads)
        notice = None
        if settings.triton_url is not None:
            yield _elsewhere(held, settings, wording, settings.triton_url, probes)
            return
        if settings.engine in (EngineChoice.AUTO, EngineChoice.TRITON):
            try:
                own = held.enter_context(_triton(settings, bundle, probes))
            except TritonUnavailable as error:
                if settings.engine is EngineChoice.TRITON:
                    raise
                notice = f"Triton is not to be had, so graphs run in process: {error.message}"
                log.warning("triton is not to be had", reason=error.reason, cause=error.message)
            else:
                yield _over_triton(held, settings, wording, own, probes)
                return
        local = in_process(bundle, settings)
        held.callback(local.close)
        openvino = settings.runtime is Runtime.OPENVINO
        choice = EngineChoice.OPENVINO if openvino else EngineChoice.ONNX
        batcher = _batcher(held, local, settings)
        pipeline, proof = _pipeline(local, wording), _proof(local, probes)
        yield Drawing(
            pipeline=pipeline,
            batcher=batcher,
            engine=choice.value,
            keeper=InProcess(),
            prove=proof,
            notice=notice,
            wording=wording,
            seer=image_encoder(local),
            looks=looks_encoder(local),
            told={"LUCIOLE_ENGINE": choice.value},
        )


def _over_triton(
    held: ExitStack,
    settings: Settings,
    wording: Wording,
    own: _OwnTriton,
    probes: list[Probe],
) -> Drawing:
    supervisor, patience = own.supervisor, settings.request_seconds
    url = supervisor.server.url
    engine = TritonEngine(wording.bundle, url, timeout_s=patience, bank=own.bank)
    held.callback(engine.close)
    gauges: dict[str, Callable[[], float]] = {
        "triton_restarts": lambda: supervisor.restarts,
        "triton_reloads": lambda: supervisor.reloads,
        "triton_ready": lambda: supervisor.ready,
    }
    proof = _proof(engine, probes, supervisor.report_trouble)
    batcher = _batcher(held, engine, settings)
    pipeline = _pipeline(engine, wording)
    seer, looks = image_encoder(engine), looks_encoder(engine)
    told = {"LUCIOLE_TRITON_URL": url}
    if own.bank is not None:
        told["LUCIOLE_TRITON_BANK"] = str(own.shared)
    return Drawing(
        pipeline, batcher, "triton", supervisor, proof, None, gauges, wording, seer, looks, told
    )


def _elsewhere(
    held: ExitStack, settings: Settings, wording: Wording, url: str, probes: list[Probe]
) -> Drawing:
    """A Triton that somebody else runs; it is waited for."""
    bundle, patience, bank = wording.bundle, settings.request_seconds, None
    plain = TritonEngine(bundle, url, timeout_s=patience)
    held.callback(plain.close)
    keeper = Distant(_proof(plain, probes))
    keeper.wait_ready(START_SECONDS)
    if settings.triton_bank is not None and bundle.manifest.banks:
        bank = held.enter_context(shares.taken(bundle, settings.triton_bank))
    engine = TritonEngine(bundle, url, timeout_s=patience, bank=bank)
    held.callback(engine.close)
    proof = _proof(engine, probes, keeper.report_trouble)
    batcher, pipeline = _batcher(held, engine, settings), _pipeline(engine, wording)
    seer, looks = image_encoder(engine), looks_encoder(engine)
    return Drawing(pipeline, batcher, "triton", keeper, proof, None, None, wording, seer, looks)


def _pipeline(engine: Engine, wording: Wording) -> GuardedPipeline:
    """With the styles of the catalogue, and the policy before and after it."""
    return GuardedPipeline(Pipeline(engine, shelf=wording.catalogue), wording.policy)


def _choices(settings: Settings) -> WordingChoices:
    model, moderation = settings.language_model_url, settings.moderation_url
    model_key = settings.language_model_key.get_secret_value()
    moderation_key = settings.moderation_key.get_secret_value()
    return WordingChoices(
        packs=settings.packs_folder,
        wildcards=settings.wildcards_folder,
        styles=settings.styles_folder,
        policy=settings.policy,
        language_model=Remote(model, settings.language_model, model_key) if model else None,
        moderation=Remote(moderation, settings.moderation_model, moderation_key)
        if moderation
        else None,
    )


def _batcher(held: ExitStack, engine: Engine, settings: Settings) -> StepBatcher:
    limits = BatchLimits(rows=settings.rows_at_once, requests=settings.pictures_at_once)
    batcher = StepBatcher(engine, limits)
    held.callback(batcher.close)
    return batcher


@contextmanager
def _triton(settings: Settings, bundle: Bundle, probes: list[Probe]) -> Iterator[_OwnTriton]:
    """A proven server, this process's share of the bank that it has mapped, and the bank's folder.

    There is a share for each worker too, so that they need no server of their own.
    """
    made = environment.find(ROOT)
    folder = settings.triton_folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="models.", dir=folder) as models:
        graphs, shared = Path(models) / "repository", Path(models) / "bank"
        # The pipeline inside the server has a share, this process another, and a worker may
        # start while the one that it replaces is still ending.
        cut = shares.Shares(settings.workers + 3, settings.style_slots - 1)
        banked = shares.make(bundle, shared, cut) if bundle.manifest.banks else shared
        runtime, threads = settings.triton_runtime, settings.threads
        repository.write(repository.models_of(bundle, threads, banked, runtime), graphs)
        inside = repository.PipelineModel(bundle, banked, cut.server)
        repository.write_pipeline(inside, graphs)
        server = TritonServer(made, graphs, folder / "triton.log")
        supervisor = Supervisor(server, probes, unprobed=("generate",))
        try:
            supervisor.start()
            with shares.taken(bundle, shared) if bundle.manifest.banks else nullcontext() as bank:
                yield _OwnTriton(supervisor, bank, shared)
        finally:
            supervisor.stop()


def _proof(
    engine: Engine, probes: list[Probe], trouble: Callable[[], None] | None = None
) -> Callable[[], None]:
    def proof() -> None:
        try:
            prove(engine, probes)
        except EngineError:
            if trouble is not None:
                trouble()
            raise

    return proof


def configure_logging(level: str) -> None:
    """Send structured lines to stderr from `level` up."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            # Plain: rich's tracebacks show local variables, and prompts are among them.
            structlog.dev.ConsoleRenderer(
                colors=False, exception_formatter=structlog.dev.plain_traceback
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
