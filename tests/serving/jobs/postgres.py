"""A Postgres server of the tests' own, from the installed programs, as a user without rights."""

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg

from evals.bench.storm import free_port

DEBIAN = Path("/usr/lib/postgresql")
QUICK = ("fsync=off", "max_connections=60")
"""A test kills processes, not the machine: what was written stays."""


def programs() -> Path | None:
    """The folder of initdb and postgres; None where they are not installed."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(DEBIAN.glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


@dataclass
class Postgres:
    """One cluster in a folder."""

    folder: Path
    bin: Path
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
        subprocess.run(self._as_nobody([*words, "-E", "UTF8", "--no-sync"]), check=True,
                       stdout=subprocess.DEVNULL, cwd=self.folder)  # fmt: skip
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = [word for setting in QUICK for word in ("-c", setting)]
        words = [
            str(self.bin / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port),
            "-c", "listen_addresses=127.0.0.1", "-k", str(self.folder), *settings,
        ]  # fmt: skip
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(
            self._as_nobody(words), stdout=log, stderr=log, cwd=self.folder
        )
        log.close()
        until = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                assert time.monotonic() < until, (self.folder / "log").read_text()
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """End it at once, as a crash would: connections break."""
        if self.process is not None:
            data = str(self.folder / "data")
            words = [str(self.bin / "pg_ctl"), "-D", data, "stop", "-m", "immediate"]
            subprocess.run(self._as_nobody(words), check=True, stdout=subprocess.DEVNULL,
                           cwd=self.folder)  # fmt: skip
            self.process.wait()
            self.process = None

    def url(self, database: str) -> str:
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
