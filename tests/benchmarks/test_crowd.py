"""The crowd counts what it got, and what it did not get."""

from __future__ import annotations

import pytest

from benchmarks.servers.bare_service import bare_service
from benchmarks.workloads.crowd import gather_a_crowd

BODY = b'{"id": "job_1"}'


@pytest.mark.parametrize(("status", "share"), [(b"200 OK", 0.0), (b"503 No", 1.0)])
def test_polls_and_streams(status: bytes, share: float) -> None:
    head = b"HTTP/1.1 " + status + b"\r\nContent-Length: %d\r\n\r\n" % len(BODY)
    with bare_service(head + BODY) as url:
        seen = gather_a_crowd(url, ["job_1", "job_2"], pollers=20, streams=10, seconds=2.5)
    assert seen.streams == 10
    assert seen.stream_errors == 0
    assert seen.polls >= 20
    assert len(seen.latencies_s) == seen.polls
    assert seen.poll_errors == share * seen.polls
