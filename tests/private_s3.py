"""An S3-compatible store of the tests' own: SeaweedFS on loopback, in a folder of its own."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

WEED = Path(sys.executable).parent / "weed"
REGION, KEY, SECRET = "us-east-1", "retouch", "a secret of the tests"
_PORTS = ("master", "volume", "filer", "s3")
_START_S = 60.0


class PrivateS3:
    """Master, volume server, filer and S3 gateway in one process."""

    def __init__(self) -> None:
        assert WEED.exists(), f"SeaweedFS is not installed beside {sys.executable}"
        self.folder = Path(tempfile.mkdtemp(prefix="retouch-s3-"))
        free = _free_ports(2 * len(_PORTS))
        ports = dict(zip(_PORTS, free[: len(_PORTS)], strict=True))
        grpc_ports = dict(zip(_PORTS, free[len(_PORTS) :], strict=True))
        identities = self.folder / "identities.json"
        credentials = [{"accessKey": KEY, "secretKey": SECRET}]
        actions = ["Admin", "Read", "List", "Tagging", "Write"]
        identities.write_text(
            json.dumps(
                {"identities": [{"name": KEY, "credentials": credentials, "actions": actions}]}
            )
        )
        options = [f"-{name}.port={port}" for name, port in ports.items()]
        options += [f"-{name}.port.grpc={port}" for name, port in grpc_ports.items()]
        data = self.folder / "data"
        data.mkdir()
        log = (self.folder / "log").open("wb")
        self._process = subprocess.Popen(
            [
                str(WEED),
                "server",
                f"-dir={data}",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                "-master.volumeSizeLimitMB=64",
                "-master.telemetry=false",
                "-s3",
                f"-s3.config={identities}",
                *options,
            ],
            stdout=log,
            stderr=log,
            cwd=self.folder,
        )
        log.close()
        self.endpoint = f"http://127.0.0.1:{ports['s3']}"
        self._master = f"127.0.0.1:{ports['master']}.{grpc_ports['master']}"
        self._filer = f"127.0.0.1:{ports['filer']}.{grpc_ports['filer']}"
        self._wait()

    @property
    def environment(self) -> dict[str, str]:
        """What its clients read, as in docker-compose.yml."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": REGION,
            "AWS_ALLOW_HTTP": "true",
        }

    def make_bucket(self, name: str) -> None:
        """As docker-compose.yml does it."""
        subprocess.run(
            [str(WEED), "shell", f"-master={self._master}", f"-filer={self._filer}"],
            input=f"s3.bucket.create -name {name}\n".encode(),
            check=True,
            capture_output=True,
            cwd=self.folder,
            timeout=60,
        )

    def stop(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(timeout=30)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_S
        while not self._answers():
            log = (self.folder / "log").read_text()[-2000:]
            assert self._process.poll() is None, f"SeaweedFS ended: {log}"
            assert time.monotonic() < deadline, f"SeaweedFS does not answer: {log}"
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.endpoint}/status", timeout=5) as answer:  # noqa: S310
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
