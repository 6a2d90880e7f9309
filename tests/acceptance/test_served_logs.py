"""A served gateway asked for everything, much of it wrongly: what it logs."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gateway.keys.key_store import KeyStore
from tests.acceptance.served import Served, eventually
from tests.gateway.front_end.conftest import b64, submission
from tests.odd_pictures import photo
from tests.served_logs import ServedLogs

PROMPT = "a zeppelin nobody may read of"
SECRET = "whsec_" + base64.b64encode(b"a key of at least 24 bytes").decode()
OWNER = "somebody-only"
"""In the addresses of webhooks."""
NOWHERE = f"http://127.0.0.1:9/hook?of={OWNER}"
SETTINGS = {"webhook_secret": SECRET, "webhook_allow_private": True}


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Served]:
    """With a key and webhooks."""
    store = KeyStore.in_folder(tmp_path)
    text = store.create("ann")[1]
    store.close()
    served = Served(tmp_path, module="tests.acceptance.memory_member", **SETTINGS)
    served.http.headers["Authorization"] = f"Bearer {text}"
    try:
        served.wait_ready()
        yield served
    finally:
        served.stop()


class Taker(BaseHTTPRequestHandler):
    """Takes webhooks and counts them."""

    taken = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).taken += 1
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Into no log."""


@pytest.fixture
def hook() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Taker) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook?of={OWNER}"
        server.shutdown()


def ask_for_everything(served: Served, hook: str) -> list[dict[str, Any]]:
    """Jobs that end in every way, and requests that are refused; the jobs."""
    url = "data:image/png;base64," + b64(photo())
    job = {"task": "generate", "prompt": PROMPT, "size": "64x64", "num_inference_steps": 1}
    jobs = [
        served.submit(**job, webhook=hook),
        served.submit(**job, webhook=NOWHERE, deadline_s=0.001),
        served.submit(task="edit", prompt=PROMPT, image=url, num_inference_steps=1, size="64x64"),
        canceled := served.submit(**job | {"num_inference_steps": 100}),
    ]
    served.http.post(f"/v1/jobs/{canceled['id']}/cancel")
    for path, body in (
        ("/v1/jobs", {**job, "num_inference_steps": 0}),
        ("/v1/jobs", {"task": "edit", "prompt": PROMPT, "image": url, "mask": url[:60]}),
        ("/v1/masks", {"image": url, "prompts": [{"points": [[-1, -1]]}]}),
        ("/v1/images/generations", {"prompt": PROMPT, "n": "many"}),
        ("/api/generate/async", submission(prompt=PROMPT, width=1)),
        ("/api/generate/async", submission(prompt=PROMPT, num_inference_steps=1)),
    ):
        served.http.post(path, json=body)
        served.http.post(path, json=body, headers={"Authorization": "Bearer rt_a_guess"})
    return jobs


def test_no_log_tells_what_people_send(guarded: Served, hook: str) -> None:
    ended = [guarded.finish(job)["status"] for job in ask_for_everything(guarded, hook)]
    assert ended == ["succeeded", "failed", "succeeded", "canceled"]
    eventually(lambda: "webhook of job" in guarded.log.read_text(), timeout_s=20)
    eventually(lambda: Taker.taken > 0, timeout_s=20)
    written = guarded.log.read_text()
    assert written.count('"POST /') > 12
    assert OWNER not in written
    logs = ServedLogs()
    logs.watch(guarded.log, SETTINGS)
    assert not logs.leaks()
    assert logs.lines > 12
