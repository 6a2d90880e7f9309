"""Answers to those who ask for a job again and again: made anew when it has changed.

Its place in line and what is foretold go in each time: they change while the job does not.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from gateway.http.server_timing import timing_headers
from gateway.jobs.job_desk import JobDesk
from gateway.jobs.job_glance import Glance
from gateway.jobs.job_lookup import Change
from gateway.storage.pictures import Pictures
from gateway.wire.job_view import mask_of, rounded, view_with

_MOST_KEPT = 512
_BEFORE, _BEHIND = b',"queue_position":', b',"created_at":'
"""Around the place in line and both forecasts; only a member's name has bare quotation marks."""


@dataclass(frozen=True)
class _Text:
    change: Change
    mask: dict[str, Any] | None
    begin: bytes
    end: bytes
    headers: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True)
class JobAnswer:
    """What is sent."""

    body: bytes
    headers: list[tuple[bytes, bytes]]


class JobAnswers:
    """The latest texts of this process."""

    def __init__(self, jobs: JobDesk, pictures: Pictures) -> None:
        self._jobs = jobs
        self._pictures = pictures
        self._kept: OrderedDict[str, _Text] = OrderedDict()

    async def of(self, seen: Glance) -> JobAnswer:
        """The JSON of `view_at`, and its headers."""
        eta = await self._jobs.eta(seen.job)
        mask = await mask_of(seen.job, self._pictures)
        text = self._kept.get(seen.job.id)
        if text is None or (text.change, text.mask) != (seen.change, mask):
            text = self._keep(seen, mask)
        now = (
            _number(seen.queue_position),
            _number(rounded(eta.p50_s) if eta else None),
            _number(rounded(eta.p90_s) if eta else None),
        )
        body = b'%b,"queue_position":%b,"eta_s":%b,"eta_p90_s":%b%b' % (text.begin, *now, text.end)
        return JobAnswer(body, [(b"content-length", b"%d" % len(body)), *text.headers])

    def _keep(self, seen: Glance, mask: dict[str, Any] | None) -> _Text:
        # Valid as it was made: FastAPI would check it a second time.
        whole = view_with(seen.job, None, None, mask).model_dump_json().encode()
        begin, _, rest = whole.partition(_BEFORE)
        _, behind, end = rest.partition(_BEHIND)
        timing = timing_headers(seen.job).items()
        headers = (
            (b"content-type", b"application/json"),
            *((name.lower().encode(), value.encode()) for name, value in timing),
        )
        text = _Text(seen.change, mask, begin, behind + end, headers)
        self._kept[seen.job.id] = text
        self._kept.move_to_end(seen.job.id)
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return text


def _number(value: float | None) -> bytes:
    return b"null" if value is None else b"%r" % value
