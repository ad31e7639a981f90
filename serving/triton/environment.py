"""Makes and checks `.venv-triton`, the virtual environment that Triton's Python stubs run in.

It is apart from ours because the stub needs numpy < 2, and ours has numpy 2.
"""

import fcntl
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from serving.triton.errors import Reason, TritonUnavailable

FOLDER = ".venv-triton"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
OLDEST_GLIBC = (2, 35)
PYTHONS = ("3.11", "3.12")
"""Where numpy 1.26 has wheels and our onnxruntime has too."""
STAMP = "luciole.json"
_DESCRIBE = """
import ctypes, json, os, sys, sysconfig
folder = sysconfig.get_config_var("LIBDIR") or ""
name = f"libpython{sys.version_info[0]}.{sys.version_info[1]}.so.1.0"
for place in (folder, os.path.join(sys.base_prefix, "lib")):
    if os.path.exists(os.path.join(place, name)):
        break
else:
    place = None
    try:
        ctypes.CDLL(name)
        place = ""
    except OSError:
        pass
print(json.dumps({"version": "%d.%d" % sys.version_info[:2], "library": place}))
"""


@dataclass(frozen=True)
class TritonEnvironment:
    """Where the parts of a checked environment lie."""

    folder: Path
    python_version: str
    library_path: str
    """The directory of the stub's libpython; empty when the system's loader finds it."""

    @property
    def python(self) -> Path:
        """The interpreter whose packages the stubs see."""
        return self.folder / "bin" / "python"

    @property
    def _wheel(self) -> Path:
        packages = self.folder / "lib" / f"python{self.python_version}" / "site-packages"
        return packages / "pytriton" / "tritonserver"

    @property
    def server(self) -> Path:
        """The `tritonserver` program."""
        return self._wheel / "bin" / "tritonserver"

    @property
    def backends(self) -> Path:
        """The folder given as `--backend-directory`."""
        return self._wheel / "backends"

    @property
    def stub(self) -> Path:
        """The stub for this Python, where the wheel keeps it."""
        name = "triton_python_backend_stub"
        return self._wheel / "python_backend_stubs" / self.python_version / name

    def variables(self) -> dict[str, str]:
        """The server's environment; the stub takes the first `python` on PATH for its own."""
        kept = {k: v for k, v in os.environ.items() if k in {"HOME", "TMPDIR", "LANG", "PATH"}}
        path = os.pathsep.join([str(self.folder / "bin"), kept.get("PATH", os.defpath)])
        own = {"PATH": path, "VIRTUAL_ENV": str(self.folder), "LD_LIBRARY_PATH": self.library_path}
        return kept | {name: value for name, value in own.items() if value}


def prepare(root: Path) -> TritonEnvironment:
    """Make `.venv-triton` under `root` unless it is there and right; TritonUnavailable says why."""
    check_platform(platform.system(), platform.machine(), glibc_version())
    with _alone(root):
        try:
            return find(root)
        except TritonUnavailable:
            return _make(root / FOLDER)


def find(root: Path) -> TritonEnvironment:
    """Return the environment that `prepare` made earlier, or say what is missing."""
    folder = root / FOLDER
    try:
        stamp = json.loads((folder / STAMP).read_text())
    except (OSError, ValueError):
        raise TritonUnavailable(
            Reason.NOT_SET_UP, f"{FOLDER} is not made yet; run: python -m serving triton-setup"
        ) from None
    if stamp.get("requirements") != _requirements():
        raise TritonUnavailable(
            Reason.NOT_SET_UP, f"{FOLDER} is out of date; run: python -m serving triton-setup"
        )
    made = TritonEnvironment(folder, stamp["python_version"], stamp["library_path"])
    for part in (made.server, made.backends / "python" / made.stub.name, made.python):
        if not part.exists():
            raise TritonUnavailable(Reason.NOT_SET_UP, f"{FOLDER} lacks {part.name}")
    return made


def check_platform(system: str, machine: str, glibc: tuple[int, int] | None) -> None:
    """Refuse platforms for which NVIDIA publishes no wheel."""
    if (system, machine) != ("Linux", "x86_64"):
        raise TritonUnavailable(
            Reason.PLATFORM, f"the wheel is for Linux x86_64, this is {system} {machine}"
        )
    if glibc is None or glibc < OLDEST_GLIBC:
        found = "no glibc" if glibc is None else f"glibc {glibc[0]}.{glibc[1]}"
        raise TritonUnavailable(Reason.GLIBC, f"the wheel needs glibc 2.35, this has {found}")


def glibc_version() -> tuple[int, int] | None:
    """The running C library's version, None where it is another one."""
    name, number = platform.libc_ver()
    if name != "glibc":
        return None
    major, minor = number.split(".")[:2]
    return int(major), int(minor)


def _requirements() -> list[str]:
    lines = (line.strip() for line in REQUIREMENTS.read_text().splitlines())
    named = [line for line in lines if line and not line.startswith("#")]
    return [*named, f"onnxruntime=={version('onnxruntime')}"]


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Two commands started at once must not build the same folder: the second waits."""
    handle = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _make(folder: Path) -> TritonEnvironment:
    interpreter, facts = _interpreter()
    if folder.exists():
        shutil.rmtree(folder)
    _call([interpreter, "-m", "venv", str(folder)], Reason.INSTALL_FAILED)
    made = TritonEnvironment(folder, str(facts["version"]), str(facts["library"]))
    pip = [str(made.python), "-m", "pip", "--disable-pip-version-check", "install"]
    _call([*pip, "--no-deps", "--only-binary=:all:", *_requirements()], Reason.INSTALL_FAILED)
    stub = made.backends / "python" / made.stub.name
    shutil.copy2(made.stub, stub)
    stub.chmod(0o755)
    stamp = {"requirements": _requirements(), "python_version": made.python_version}
    (folder / STAMP).write_text(json.dumps(stamp | {"library_path": made.library_path}))
    return made


def _interpreter() -> tuple[str, Mapping[str, object]]:
    """Return the first Python that has wheels and a shared libpython for the stub to load."""
    named = [shutil.which(f"python{number}") for number in PYTHONS]
    tried = []
    for candidate in [sys.executable, *filter(None, named)]:
        answer = subprocess.run(  # noqa: S603 - an interpreter found on PATH, fixed arguments
            [candidate, "-c", _DESCRIBE], capture_output=True, text=True, check=False
        )
        if answer.returncode != 0:
            continue
        facts = json.loads(answer.stdout)
        if facts["version"] in PYTHONS and facts["library"] is not None:
            return candidate, facts
        shared = "" if facts["library"] is not None else " without a shared libpython"
        tried.append(f"Python {facts['version']}{shared}")
    raise TritonUnavailable(
        Reason.INTERPRETER,
        f"the stub needs Python {' or '.join(PYTHONS)} with libpython; found {', '.join(tried)}",
    )


def _call(command: list[str], reason: Reason) -> None:
    """Run with its own progress bars in sight; TritonUnavailable with its last words."""
    done = subprocess.run(  # noqa: S603 - our own arguments only
        command, stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode == 0:
        return
    words = done.stderr.strip()
    if "No matching distribution" in words:
        reason = Reason.NO_WHEEL
    last = words.splitlines()[-1] if words else f"exit status {done.returncode}"
    raise TritonUnavailable(reason, f"{' '.join(command[1:4])} failed: {last}")
