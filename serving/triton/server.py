"""One tritonserver process: its command line, its ports, its children and its end."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from serving.triton.environment import TritonEnvironment
from serving.triton.errors import Reason, TritonUnavailable

EXIT_SECONDS = 5
"""How long Triton lets running inferences finish once told to stop."""
_LAUNCH = Path(__file__).with_name("launch.py")
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where the stubs and the server exchange tensors


class TritonServer:
    """Starts and stops tritonserver on loopback ports that stay the same over restarts."""

    def __init__(
        self,
        environment: TritonEnvironment,
        repository: Path,
        log: Path,
        host: str = "127.0.0.1",
        ports: Sequence[int] = (),
    ) -> None:
        """`ports` are those for HTTP, gRPC and metrics; any free ones if they are not given."""
        self.environment = environment
        self.repository = repository
        self.log = log
        self.host = host
        self.http_port, self.grpc_port, self.metrics_port = ports or free_ports(3)
        self.mark = f"luciole_{uuid.uuid4().hex[:12]}_"
        self._process: subprocess.Popen[bytes] | None = None
        self.expected: set[int] = set()
        """The stubs whose absence means trouble."""
        self._log_start = 0

    @property
    def url(self) -> str:
        """The gRPC address, `host:port`."""
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def pid(self) -> int | None:
        """The running process, None before the first start and after a stop."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        """Whether the server's own process lives, whatever its stubs do."""
        return self._process is not None and self._process.poll() is None

    def start(self, timeout: float = 60.0) -> None:
        """Start and wait until every model is loaded; TritonUnavailable with the log's last words.

        The thread that starts it must outlive it: the kernel ends the server with that thread.
        """
        self.stop()
        self.expected = set()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(  # noqa: S603 - our own arguments only
                self._command(),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self.environment.variables(),
                start_new_session=True,
            )
        deadline = time.monotonic() + timeout
        while not self._answers():
            died = self._process.poll() is not None
            if died or time.monotonic() > deadline:
                words = "ended at its start" if died else f"was not ready after {timeout:.0f} s"
                self.stop()
                message = f"tritonserver {words}: {self._last_words()}"
                raise TritonUnavailable(Reason.DOES_NOT_START, message)
            time.sleep(0.05)

    def stop(self) -> None:
        """SIGTERM, then SIGKILL for whatever is left of the process group; frees shared memory."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(EXIT_SECONDS + 5)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for region in SHARED_MEMORY.glob(f"{self.mark}*"):
            region.unlink(missing_ok=True)

    def alive(self) -> bool:
        """Whether the server runs with every expected stub: costs no inference."""
        return self.running and self.expected <= self.children()

    def children(self) -> set[int]:
        """Return the stubs that live now."""
        return children(self._process.pid) if self._process else set()

    def _command(self) -> list[str]:
        environment = self.environment
        settings = (
            f"shm-region-prefix-name={self.mark}",
            "stub-timeout-seconds=120",
        )
        return [
            *(str(environment.python), str(_LAUNCH), str(os.getpid())),
            str(environment.server),
            f"--model-repository={self.repository}",
            f"--backend-directory={environment.backends}",
            "--model-control-mode=explicit",
            "--load-model=*",
            "--disable-auto-complete-config",
            f"--exit-timeout-secs={EXIT_SECONDS}",
            *(f"--backend-config=python,{setting}" for setting in settings),
            *(f"--{kind}-address={self.host}" for kind in ("http", "grpc", "metrics")),
            f"--http-port={self.http_port}",
            f"--grpc-port={self.grpc_port}",
            f"--metrics-port={self.metrics_port}",
        ]

    def _answers(self) -> bool:
        link = HTTPConnection("127.0.0.1", self.http_port, timeout=2)
        try:
            link.request("GET", "/v2/health/ready")
            return link.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            link.close()

    def _last_words(self) -> str:
        written = self.log.read_bytes()[self._log_start :]
        lines = written.decode(errors="replace").splitlines()
        blamed = [line for line in lines if re.match(r"E\d{4} ", line)]
        words = (blamed or lines or ["it wrote nothing"])[-1].strip()
        return f"{words[:400]} (see {self.log})"


def free_ports(count: int) -> list[int]:
    """Return loopback ports that nobody listens on now."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def children(parent: int) -> set[int]:
    """Return the living processes whose parent is `parent`; a zombie is not alive."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            state, above = stat.read_text().rpartition(")")[2].split()[:2]
            if int(above) == parent and state not in "ZX":
                found.add(int(stat.parent.name))
    return found
