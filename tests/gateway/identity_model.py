"""Calls of a Triton that serves the `identity` model, and the shared memory that it maps."""

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

from gateway.triton.process_group import group_members
from gateway.triton.shared_memory_sweep import REGION_PREFIX
from gateway.triton.triton_server import TritonServer

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108


def ask(url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data)  # noqa: S310
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
        text = answer.read()
    return json.loads(text) if text else None


def load_identity(server: TritonServer) -> None:
    ask(f"{server.http_url}/v2/repository/models/identity/load", {})


def infer(server: TritonServer, values: list[float]) -> list[float]:
    tensor = {"name": "IN", "datatype": "FP32", "shape": [1, len(values)], "data": values}
    answer = ask(f"{server.http_url}/v2/models/identity/infer", {"inputs": [tensor]})
    data: list[float] = answer["outputs"][0]["data"]
    return data


def name_of(server: TritonServer) -> str:
    return str(ask(f"{server.http_url}/v2")["name"])


def regions_of(group: int) -> set[str]:
    maps = "".join(Path(f"/proc/{pid}/maps").read_text() for pid in group_members(group))
    return set(re.findall(rf"{REGION_PREFIX}[\w-]+", maps))


def regions_on_disk() -> set[str]:
    return {path.name for path in SHARED_MEMORY.glob(f"{REGION_PREFIX}*")}
