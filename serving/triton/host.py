"""`python -m serving triton`: a Triton server alone, for gateways and workers beside it."""

from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from luciole.bundle import Bundle
from luciole.domain import InvalidRequest
from serving.bootstrap import ROOT, configure_logging
from serving.engines import probes_of
from serving.settings import Settings
from serving.stopping import StopSignals
from serving.triton import environment, repository, shares
from serving.triton.server import TritonServer
from serving.triton.supervisor import Supervisor

log = structlog.get_logger()


def host(settings: Settings) -> None:
    """Serve the bundle until SIGTERM: HTTP at LUCIOLE_PORT, gRPC and metrics at the two after it.

    InvalidRequest if no folder is named for the styles; TritonUnavailable where there is no Triton.
    """
    configure_logging(settings.log_level)
    if settings.triton_bank is None:
        raise InvalidRequest("LUCIOLE_TRITON_BANK", "is not set; name a folder for the styles")
    made, bundle = environment.find(ROOT), Bundle.open(settings.bundle)
    probes = probes_of(bundle, settings.triton_runtime, settings.threads)
    signals = StopSignals()
    folder = settings.triton_folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="models.", dir=folder) as models:
        graphs = Path(models)
        lay_out(settings, bundle, settings.triton_bank, graphs)
        ports = range(settings.port, settings.port + 3)
        server = TritonServer(made, graphs, folder / "triton.log", settings.host, ports)
        supervisor = Supervisor(server, probes, unprobed=("generate",))
        try:
            supervisor.start()
            log.info("triton is served", http=server.http_port, grpc=server.grpc_port)
            signals.wait()
        finally:
            supervisor.stop()


def lay_out(
    settings: Settings, bundle: Bundle, bank: Path, graphs: Path, native: bool = False
) -> None:
    """The models of the bundle, over a bank that callers on this machine share.

    With `native`, graphs without a bank are left to the server's own backends.
    """
    cut = shares.Shares(settings.triton_shares + 1, settings.style_slots - 1)
    if bundle.manifest.banks:
        bank = shares.make(bundle, bank, cut)
    runtime, threads = settings.triton_runtime, settings.threads
    repository.write(repository.models_of(bundle, threads, bank, runtime, native), graphs)
    inside = repository.PipelineModel(bundle, bank, cut.server)
    repository.write_pipeline(inside, graphs)
