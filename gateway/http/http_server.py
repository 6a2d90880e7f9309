"""How the HTTP server is set up, wherever one is started: its loop, its protocol, its limits."""

from __future__ import annotations

from typing import Any

from gateway.http.gathered_polls import GatheringProtocol, PollGathering
from gateway.process.event_loop import new_event_loop
from gateway.settings import Settings


def server_options(settings: Settings) -> dict[str, Any]:
    """Options for `uvicorn.Config`: event loop, deadlines of headers and reading, header cap."""

    class _Guarded(GatheringProtocol):
        gathering = PollGathering()
        header_timeout_s = settings.header_timeout_s
        write_stall_s = settings.write_stall_s
        max_header_bytes = settings.max_header_bytes

    return {
        "loop": f"{new_event_loop.__module__}:{new_event_loop.__name__}",
        "http": _Guarded,
        "ws": "none",
        "access_log": False,
    }
