"""A Postgres server of one's own, from the installed programs, as a user without rights."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from evals.bench.storm import free_port

DEBIAN = Path("/usr/lib/postgresql")
CONNECTIONS = "max_connections=60"
PATIENCE = 60.0
"""Seconds until it answers."""


def programs() -> Path | None:
    """The folder of initdb and postgres; None where they are not installed."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(DEBIAN.glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


@dataclass
class Postgres:
    """One cluster in a folder.

    One that is not `durable` writes nothing through to the disk: a test kills processes, not the
    machine, so what was written stays.
    """

    folder: Path
    bin: Path
    durable: bool = False
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        """Lay the cluster out and start it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.getuid() == 0:
            for place in (self.folder, *self.folder.parents[:2]):
                place.chmod(0o755)
            shutil.chown(self.folder, "nobody", "nogroup")
        self.port = free_port()
        data = self.folder / "data"
        words = [str(self.bin / "initdb"), "-D", str(data), "-U", "luciole", "-A", "trust"]
        subprocess.run(  # noqa: S603 - the installed program
            self._as_nobody([*words, "-E", "UTF8", "--no-sync"]),
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
        )
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers; RuntimeError with its log if it never does."""
        settings = [CONNECTIONS, f"fsync={'on' if self.durable else 'off'}"]
        words = [
            str(self.bin / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port),
            "-c", "listen_addresses=127.0.0.1", "-k", str(self.folder),
            *(word for setting in settings for word in ("-c", setting)),
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - the installed program
                self._as_nobody(words), stdout=log, stderr=log, cwd=self.folder
            )
        until = time.monotonic() + PATIENCE
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                if time.monotonic() > until:
                    raise RuntimeError((self.folder / "log").read_text()) from None
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """End it at once, as a crash would: connections break."""
        if self.process is not None:
            data = str(self.folder / "data")
            words = [str(self.bin / "pg_ctl"), "-D", data, "stop", "-m", "immediate"]
            subprocess.run(  # noqa: S603 - the installed program
                self._as_nobody(words), check=True, stdout=subprocess.DEVNULL, cwd=self.folder
            )
            self.process.wait()
            self.process = None

    def url(self, database: str) -> str:
        """Where a database of it is reached."""
        return f"postgresql://luciole@127.0.0.1:{self.port}/{database}"

    def database(self, name: str) -> str:
        """A new database's URL."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return self.url(name)

    def _as_nobody(self, words: list[str]) -> list[str]:
        if os.getuid() != 0:
            return words
        return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *words]


@contextmanager
def serving(programs: Path, durable: bool = False) -> Iterator[Postgres]:
    """A running server, gone with its files when the block ends."""
    server = Postgres(
        Path(tempfile.mkdtemp(prefix="luciole-postgres.")) / "cluster", programs, durable
    )
    server.make()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.folder.parent)
