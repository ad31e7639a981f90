"""`python -m serving worker` and `sender`: wired from the settings, run until SIGTERM."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from luciole.domain import RenderPlan
from serving.bootstrap import configure_logging, drawing, prepare_state
from serving.gateway.encoding import Encoder, PictureFormat, encoder
from serving.jobs.artist import Pixels
from serving.jobs.billing import billing
from serving.jobs.engine_artist import EngineArtist
from serving.jobs.leases import frozen
from serving.jobs.outbox import run_sender
from serving.jobs.process import WorkerLimits, run_worker
from serving.jobs.storyboards import kinds
from serving.jobs.supervisor import Supervisor, python
from serving.jobs.webhooks import webhooks
from serving.jobs.worker import Encoded, Studio
from serving.settings import Settings
from serving.storage.database import open_database
from serving.storage.objects import open_objects


def worker(settings: Settings) -> None:
    """Draw accepted jobs on an engine of its own."""
    configure_logging(settings.log_level)
    prepare_state(settings)
    database, objects = open_database(settings.database), open_objects(settings.objects)
    limits = WorkerLimits(
        at_once=settings.worker_jobs,
        lease=settings.lease_seconds,
        tries=settings.worker_tries,
        orphans=timedelta(seconds=settings.orphan_seconds),
    )
    with drawing(settings) as ready:
        artist = EngineArtist(ready, database, objects, settings.recovery_seconds)
        files = encoder(ready.pipeline.manifest, settings)
        known = kinds(database, objects, ready.looks)
        studio = Studio(artist, _encode(files), objects, known, files.credentials)
        run_worker(settings.database, database, studio, limits)


def sender(settings: Settings) -> None:
    """Send what jobs left in the outboxes; bills only where there is a key for Stripe."""
    configure_logging(settings.log_level)
    prepare_state(settings)
    database = open_database(settings.database)
    outboxes = [webhooks(database, settings.webhooks_inside)]
    if settings.stripe_key is not None:
        key = settings.stripe_key.get_secret_value()
        outboxes.append(billing(key, settings.stripe_event, settings.stripe_url))
    run_sender(database, outboxes)


@contextmanager
def crew(settings: Settings, engine: Mapping[str, str]) -> Iterator[Supervisor]:
    """Workers and a sender beside this process, for as long as the block lasts; none without.

    `engine`: what `Drawing.told` says, so that they use the engine that runs already.
    """
    names = [f"worker {n}" for n in range(settings.workers)]
    workers = [python(name, "-m", "serving", "worker") for name in names]
    programs = [replace(one, environment=engine) for one in workers]
    if programs:
        programs.append(python("sender", "-m", "serving", "sender"))
    database = open_database(settings.database)
    try:
        with Supervisor(programs, lambda: frozen(database)) as supervisor:
            yield supervisor
    finally:
        database.dispose()


def _encode(files: Encoder) -> Callable[[Pixels, RenderPlan], Encoded]:
    def encode(pixels: Pixels, plan: RenderPlan) -> Encoded:
        form = PictureFormat.PNG
        return Encoded(files.file(pixels, plan, form), form.mime, form.extension)

    return encode
