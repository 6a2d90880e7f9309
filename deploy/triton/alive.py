"""Probe of a Triton container: the server answers, and no model's process is dead.

A model's Python process that was killed is not started again by Triton, whose own ready probe
stays green. Here every loaded model of the Python backend must have its process. Only the
standard library.

    python3 alive.py               exit 0: the server answers and every process lives
    python3 alive.py --ready       besides, every model is loaded
    python3 alive.py --end-server  a dead process ends the server, so that the container restarts
"""

import argparse
import contextlib
import json
import os
import signal
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

TIMEOUT_S = 3.0
_LISTENING = "0A"  # of /proc/net/tcp


def main(arguments: list[str] | None = None) -> int:
    """Probe once; the exit status."""
    options = _parser().parse_args(arguments)
    try:
        _ask(options.url, "/v2/health/ready" if options.ready else "/v2/health/live")
        dead = dead_models(options.url)
    except (OSError, ValueError) as error:
        print(f"Triton does not answer: {error}", file=sys.stderr)
        return 1
    if not dead:
        return 0
    print(f"no process runs {', '.join(dead)}", file=sys.stderr)
    if options.end_server:
        _end_server(options.url)
    return 1


def dead_models(url: str) -> list[str]:
    """Loaded models of the Python backend without a process of theirs."""
    index = _ask(url, "/v2/repository/index", b'{"ready": true}')
    loaded = {entry["name"] for entry in index if entry.get("state") == "READY"}
    in_python = [name for name in sorted(loaded) if _backend(url, name) == "python"]
    commands = _stub_commands()
    return [name for name in in_python if not any(f"/{name}/" in words for words in commands)]


def _backend(url: str, model: str) -> str:
    return str(_ask(url, f"/v2/models/{model}/config")["backend"])


def _stub_commands() -> list[str]:
    """Command lines of the stubs that run; one that was killed but not yet reaped has none."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if b"triton_python_backend_stub" in words[0]:
                found.append(b" ".join(words).decode(errors="replace"))
    return found


def _end_server(url: str) -> None:
    """Of the Tritons that run, the one that listens where the probe asked."""
    sockets = _listening_sockets(urllib.parse.urlsplit(url).port or 80)
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (folder / "comm").read_text().strip() == "tritonserver" and _has(folder, sockets):
                os.kill(int(folder.name), signal.SIGTERM)


def _has(process: Path, sockets: set[str]) -> bool:
    """Whether one of the sockets is open in a process."""
    for file in (process / "fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            if str(file.readlink()) in sockets:
                return True
    return False


def _listening_sockets(port: int) -> set[str]:
    """Names that files of processes have for the sockets that listen on a TCP port."""
    found = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (Path("/proc/net") / table).read_text().splitlines()[1:]:
                _, local, _, state, *rest = line.split()
                if state == _LISTENING and int(local.rpartition(":")[2], 16) == port:
                    found.add(f"socket:[{rest[5]}]")
    return found


def _ask(url: str, path: str, body: bytes | None = None) -> Any:
    request = urllib.request.Request(url + path, data=body)  # noqa: S310
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=TIMEOUT_S) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Whether a Triton container is well.")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--ready", action="store_true", help="every model must be loaded")
    parser.add_argument("--end-server", action="store_true", help="end Triton on a dead process")
    return parser


if __name__ == "__main__":
    sys.exit(main())
