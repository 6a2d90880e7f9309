"""A FastAPI application whose routes do nothing, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import uvicorn
from fastapi import FastAPI

from gateway.triton.loopback_ports import LOOPBACK, free_ports

START_TIMEOUT_S = 30.0


@contextmanager
def empty_service() -> Iterator[str]:
    """Its URL, for as long as the context is open.

    Raises:
        RuntimeError: it did not start in time.
    """
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "benchmarks.servers.empty_service", str(port)]
    process = subprocess.Popen(command)
    try:
        url = f"http://{LOOPBACK}:{port}"
        _wait(url)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait(url: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            httpx.get(url, trust_env=False)
            return
        time.sleep(0.1)
    raise RuntimeError(f"The empty service did not start in {START_TIMEOUT_S:.0f} s.")


def main() -> None:
    """Serve on the port given."""
    app = FastAPI()

    @app.post("/")
    async def nothing(body: dict[str, object]) -> dict[str, bool]:
        return {"ok": bool(body)}

    uvicorn.run(app, host=LOOPBACK, port=int(sys.argv[1]), log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
