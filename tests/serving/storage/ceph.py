"""A Ceph cluster of the tests' own, as small as one can be: a monitor, a store in memory, S3."""

import os
import shutil
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from string import Template
from typing import Any

import httpx
import obstore
from obstore.store import S3Store

from evals.bench.storm import free_port

PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw")
KEY, SECRET, BUCKET = "access", "secret", "luciole"
CONFIGURATION = Template("""[global]
fsid = $fsid
mon host = $monitor
run dir = $folder
admin socket =
log file = $folder/$$name.log
keyring = $folder/keyring
mon data = $folder/mon
osd data = $folder/osd
osd objectstore = memstore
memstore device bytes = 268435456
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon osd crush smoke test = false
paxos propose interval = 0.05
public addr = 127.0.0.1
cluster addr = 127.0.0.1
rgw rados pool pg num min = 1
rgw thread pool size = 16
rgw run sync thread = false
rgw enable gc threads = false
rgw enable lc threads = false
rgw bucket quota ttl = 0
rgw frontends = beast endpoint=127.0.0.1:$port
""")


def missing() -> list[str]:
    """What is not installed."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


@dataclass
class Ceph:
    """One cluster in a folder; `run` lists what its gateway needs."""

    folder: Path
    port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a service is told."""
        return {
            "AWS_ENDPOINT": self.address,
            "AWS_REGION": "default",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }

    def make(self) -> None:
        """Lay the cluster out, start it, add a user and a bucket."""
        fsid, disk = str(uuid.uuid4()), str(uuid.uuid4())
        monitor = f"[v2:127.0.0.1:{free_port()},v1:127.0.0.1:{free_port()}]"
        words = {"fsid": fsid, "monitor": monitor, "folder": self.folder, "port": self.port}
        (self.folder / "ceph.conf").write_text(CONFIGURATION.substitute(words))
        for place in ("mon", "osd"):
            (self.folder / place).mkdir()
        self._call("ceph-authtool", "--create-keyring", "keyring")
        for name in ("mon.", "client.admin", "osd.0"):
            allowed = [word for part in ("mon", "osd") for word in ("--cap", part, "allow *")]
            self._call("ceph-authtool", "keyring", "--gen-key", "-n", name, *allowed)
        self._call("monmaptool", "--create", "--addv", "a", monitor, "--fsid", fsid, "monmap")
        self._call("ceph-mon", "-i", "a", "--mkfs", "--monmap", "monmap", "--keyring", "keyring")
        self._start("ceph-mon", "-i", "a")
        self._call("ceph", "osd", "new", disk)
        self._call("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk)
        self._start("ceph-osd", "-i", "0")
        self.start_gateway()
        user = ("--uid", "tests", "--display-name", "Tests")
        keys = ("--access-key", KEY, "--secret-key", SECRET)
        self.admin("user", "create", *user, *keys)
        self.bucket(BUCKET)

    def start_gateway(self) -> None:
        """Start S3 and wait until it answers."""
        self._start("radosgw", "-n", "client.admin")
        until = time.monotonic() + 90
        while True:
            try:
                httpx.get(self.address, timeout=2)
            except httpx.TransportError:
                assert time.monotonic() < until, self._last_words()
                time.sleep(0.05)
            else:
                return

    def stop_gateway(self) -> None:
        """End S3; what is stored stays."""
        process = self.processes.pop("radosgw")
        process.kill()
        process.wait()

    def stop(self) -> None:
        """End everything at once."""
        for process in self.processes.values():
            process.kill()
            process.wait()

    def admin(self, *words: str) -> None:
        """One command of radosgw-admin."""
        self._call("radosgw-admin", *words)

    def bucket(self, name: str) -> None:
        """Make a bucket."""
        options: Any = {key.removeprefix("AWS_").lower(): v for key, v in self.environment.items()}
        root = S3Store(name, client_options={"allow_http": True}, **options)
        url = obstore.sign(root, "PUT", "", timedelta(seconds=60))
        assert httpx.put(url).status_code == 200

    def _call(self, *words: str) -> None:
        subprocess.run(words, cwd=self.folder, env=self._variables(), check=True, timeout=60,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip

    def _start(self, program: str, *words: str) -> None:
        self.processes[program] = subprocess.Popen(
            [program, *words, "-f"], cwd=self.folder, env=self._variables(),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def _variables(self) -> dict[str, str]:
        return os.environ | {"CEPH_CONF": str(self.folder / "ceph.conf")}

    def _last_words(self) -> str:
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"{log.name}: {log.read_text()[-800:]}" for log in logs)
