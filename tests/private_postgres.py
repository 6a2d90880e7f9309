"""A PostgreSQL of the tests' own: started, killed and started again, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

USER = "postgres"


def find_binaries() -> Path | None:
    """Folder of initdb and postgres; None where PostgreSQL is not installed."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("postgres")
    return Path(found).parent if found else None


class PrivatePostgres:
    """Listens on loopback alone; PostgreSQL refuses to run as root, so then as `postgres`."""

    def __init__(self) -> None:
        binaries = find_binaries()
        assert binaries is not None, "PostgreSQL is not installed: apt-get install postgresql"
        self._binaries = binaries
        # Not under pytest's own folder, which other users may not enter.
        self._folder = Path(tempfile.mkdtemp(prefix="retouch-postgres-"))
        self._data = self._folder / "data"
        self._as_user = ["runuser", "-u", USER, "--"] if os.getuid() == 0 else []
        self._port = _free_port()
        if self._as_user:
            shutil.chown(self._folder, USER)
        command = [str(binaries / "initdb"), "-D", str(self._data), "-U", USER, "-A", "trust", "-N"]
        subprocess.run(
            [*self._as_user, *command], check=True, capture_output=True, cwd="/", timeout=60
        )
        self.start()

    def url(self, database: str) -> str:
        """Address of a database, made when absent."""
        known = self._psql(f"SELECT 1 FROM pg_database WHERE datname = '{database}'")  # noqa: S608
        if "1" not in known:
            self._psql(f"CREATE DATABASE {database}")
        return f"postgresql://{USER}@127.0.0.1:{self._port}/{database}"

    def start(self) -> None:
        options = f"-h 127.0.0.1 -p {self._port} -k {self._data} -c max_connections=200"
        command = [str(self._binaries / "pg_ctl"), "-D", str(self._data), "-o", options]
        subprocess.run(
            [*self._as_user, *command, "-w", "-t", "60", "-l", str(self._data / "log"), "start"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
            timeout=90,
        )

    def kill(self) -> None:
        """kill -9 of the postmaster and all its children."""
        postmaster = int((self._data / "postmaster.pid").read_text().split()[0])
        children = _children(postmaster)
        for process in (postmaster, *children):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + 10
        while any(Path(f"/proc/{process}").exists() for process in (postmaster, *children)):
            assert time.monotonic() < deadline, "PostgreSQL survived its kill"
            time.sleep(0.05)

    def stop(self) -> None:
        command = [str(self._binaries / "pg_ctl"), "-D", str(self._data), "-m", "immediate", "stop"]
        subprocess.run([*self._as_user, *command], check=False, capture_output=True, cwd="/")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _psql(self, statement: str) -> str:
        command = [str(self._binaries / "psql"), "-h", "127.0.0.1", "-p", str(self._port)]
        done = subprocess.run(
            [*command, "-U", USER, "-d", "postgres", "-Atc", statement],
            check=True,
            capture_output=True,
            text=True,
            timeout=30,
        )
        return done.stdout


def _children(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
