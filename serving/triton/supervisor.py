"""Keeps a Triton server right: proves it, watches it, heals it, stops it."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from luciole.domain import EngineError
from serving.probe import Probe
from serving.triton.prober import Prober
from serving.triton.server import TritonServer

log = structlog.get_logger()


@dataclass(frozen=True)
class Watch:
    """How closely to watch; all in seconds."""

    look: float = 0.5
    """Between looks at the processes, which cost nothing."""
    probe: float = 5.0
    """Between real inferences."""
    timeout: float = 30.0
    """For one probe: longer than the longest batch it may have to wait behind."""
    first_pause: float = 0.25
    longest_pause: float = 30.0
    """Between attempts to heal; doubles from the first to the longest."""


class Supervisor:
    """Owns a TritonServer; one thread starts, proves, watches, heals and stops it."""

    def __init__(
        self,
        server: TritonServer,
        probes: Sequence[Probe],
        watch: Watch | None = None,
        unprobed: Sequence[str] = (),
    ) -> None:
        """`unprobed`: models that answer on streams; they are loaded again when a stub is gone."""
        self.server = server
        self.probes, self.unprobed = probes, unprobed
        self.restarts = 0
        self.reloads = 0
        self._watch = watch or Watch()
        self._prober: Prober | None = None
        self._ready = threading.Event()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._started = threading.Event()
        self._trouble: EngineError | None = None
        self._thread = threading.Thread(target=self._live, name="triton-supervisor", daemon=True)

    @property
    def ready(self) -> bool:
        """Whether the last proof passed and every process since then lives."""
        return self._ready.is_set() and self.server.alive()

    def start(self) -> None:
        """Start the server and prove every model; TritonUnavailable or EngineError if it fails."""
        self._thread.start()
        self._started.wait()
        if not self._ready.is_set():
            self._thread.join()
            raise self._trouble or EngineError("triton", "was stopped while it started")

    def stop(self) -> None:
        """Stop watching, then the server and its stubs; safe to call twice."""
        self._stopping.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join()

    def report_trouble(self) -> None:
        """Say that a call failed, so that a proof is run now and not at the next turn."""
        self._ready.clear()
        self._wake.set()

    def wait_ready(self, timeout: float) -> None:
        """Return once the server is proven, healing it if need be; EngineError after `timeout`."""
        deadline = time.monotonic() + timeout
        while not self.ready:
            if self._ready.is_set():
                self.report_trouble()
            if not self._ready.wait(max(0.0, deadline - time.monotonic())):
                cause = f": {self._trouble}" if self._trouble else ""
                raise EngineError("triton", f"is not ready after {timeout:.0f} s{cause}")

    def _live(self) -> None:
        try:
            self._restart()
        except EngineError as error:
            self._trouble = error
            self._ready.clear()
        finally:
            self._started.set()
        if self._ready.is_set():
            self._keep_watch()
        self._ready.clear()
        if self._prober is not None:
            self._prober.close()
        self.server.stop()

    def _keep_watch(self) -> None:
        proven = time.monotonic()
        while not self._stopping.is_set():
            due = self._wake.wait(self._watch.look)
            self._wake.clear()
            due = due or time.monotonic() - proven > self._watch.probe
            if due or not self.ready:
                self._heal()
                proven = time.monotonic()

    def _heal(self) -> None:
        """Probe; reload what fails; restart when that does not help; again until all is well."""
        pause = self._watch.first_pause
        while not self._stopping.is_set():
            try:
                self._cure()
            except EngineError as error:
                self._trouble = error
                self._ready.clear()
                log.warning("triton is not healed yet", cause=str(error), next_try_s=pause)
                self._stopping.wait(pause)
                pause = min(2 * pause, self._watch.longest_pause)
            else:
                self._ready.set()
                return

    def _cure(self) -> None:
        if self.server.running and self._prober is not None:
            try:
                self._reload_what_fails(self._prober)
            except EngineError as error:
                log.warning("triton must restart", cause=str(error))
            else:
                return
        self._ready.clear()
        self.restarts += 1
        self._restart()

    def _reload_what_fails(self, prober: Prober) -> None:
        before, reloads = self.server.children(), self.reloads
        for probe in self.probes:
            try:
                prober.run(probe)
            except EngineError as error:
                self._reload(prober, probe.graph, str(error))
        if self.reloads == reloads and not self.server.expected <= before:
            for model in self.unprobed:
                self._reload(prober, model, "a stub is gone, and every probe passed")
        if self.reloads == reloads:
            self.server.expected = before
        else:
            self._prove(prober)

    def _reload(self, prober: Prober, model: str, cause: str) -> None:
        self._ready.clear()
        log.warning("triton model reloads", model=model, cause=cause)
        self.reloads += 1
        prober.reload(model)

    def _prove(self, prober: Prober) -> None:
        """Run every probe; the processes seen before it are those that must stay alive."""
        before = self.server.children()
        for probe in self.probes:
            prober.run(probe)
        self.server.expected = before

    def _restart(self) -> None:
        if self._prober is not None:
            self._prober.close()
        began = time.monotonic()
        self.server.start()
        self._prober = Prober(self.server.url, self._watch.timeout)
        self._prove(self._prober)
        self._trouble = None
        self._ready.set()
        log.info("triton is ready", url=self.server.url, seconds=round(time.monotonic() - began, 2))
