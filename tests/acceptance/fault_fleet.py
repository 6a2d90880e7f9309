"""Gateways and workers in processes of their own, to be killed while jobs run."""

from __future__ import annotations

import json
import random
import threading
import time
from pathlib import Path
from typing import Any

import httpx

from tests.acceptance.served import Served, eventually

PATIENCE_S = 150.0


class Fleet:
    """Some processes over one database and one Triton; each can be killed and started again."""

    def __init__(self, folder: Path, *, module: str = "gateway.cli", **settings: object) -> None:
        self._module = module
        self._folder = folder
        self._settings = settings | {"canary_interval_s": 0.5, "canary_timeout_s": 20}
        self._members: dict[str, Served] = {}
        self._commands: dict[str, tuple[str, ...]] = {}

    def start(self, name: str, *command: str) -> Served:
        """Start a member, or start it again on its old port under its old id."""
        self._commands[name] = command or self._commands[name]
        before = self._members.get(name)
        member = self._members[name] = Served(
            self._folder,
            command=self._commands[name],
            module=self._module,
            port=before.port if before else None,
            worker_id=name,
            **self._settings,
        )
        return member

    def kill(self, name: str) -> None:
        self._members[name].http.close()
        self._members[name].process.kill()
        self._members[name].process.wait(timeout=10)

    def url(self, name: str) -> str:
        return self._members[name].url

    def member(self, name: str) -> Served:
        return self._members[name]

    def stop(self) -> None:
        for member in self._members.values():
            member.http.close()
            if member.process.poll() is None:
                member.process.terminate()
        for member in self._members.values():
            try:
                member.process.wait(timeout=30)
            except Exception:
                member.process.kill()


class Submitter(threading.Thread):
    """Hands in jobs one after another, each until a gateway has accepted it."""

    def __init__(self, urls: list[str], count: int) -> None:
        super().__init__(daemon=True)
        self._urls = urls
        self._count = count
        self.accepted: dict[int, str] = {}
        self.tries = 0

    def run(self) -> None:
        random.seed(5)
        with httpx.Client(timeout=20) as client:
            for number in range(self._count):
                while number not in self.accepted:
                    self._submit(client, number)

    def _submit(self, client: httpx.Client, number: int) -> None:
        self.tries += 1
        body = {
            "task": "generate",
            "prompt": f"picture {number}",
            "size": "64x64",
            "num_inference_steps": 3,
            "seed": number,
        }
        try:
            answer = client.post(
                f"{random.choice(self._urls)}/v1/jobs",
                json=body,
                headers={"Idempotency-Key": f"job {number}"},
            )
        except httpx.TransportError:
            time.sleep(0.2)
            return
        if answer.status_code == 202:
            self.accepted[number] = answer.json()["id"]
        else:
            assert answer.status_code in (429, 503), answer.text
            time.sleep(0.2)


def ended(url: str, ids: list[str]) -> list[dict[str, Any]]:
    """The jobs when all have ended."""
    found: dict[str, dict[str, Any]] = {}

    def all_ended() -> bool:
        for job_id in ids:
            if job_id in found:
                continue
            try:
                answer = httpx.get(f"{url}/v1/jobs/{job_id}", timeout=20)
            except httpx.TransportError:
                return False
            if answer.status_code != 200:
                return False
            job = answer.json()
            if job["status"] in ("queued", "running"):
                return False
            found[job_id] = job
        return True

    eventually(all_ended, timeout_s=PATIENCE_S, say=lambda: f"{len(found)} of {len(ids)} ended")
    return [found[job_id] for job_id in ids]


def event_stream(url: str, job_id: str) -> list[tuple[int, str, dict[str, Any]]]:
    """All events of a job that has ended: id, name and data."""
    text = httpx.get(f"{url}/v1/jobs/{job_id}/events", timeout=30).text
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "id" in fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found
