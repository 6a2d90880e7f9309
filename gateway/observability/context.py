"""Which request and which job the running code works for."""

from __future__ import annotations

from contextvars import ContextVar

current_request_id: ContextVar[str] = ContextVar("current_request_id", default="")
current_job_id: ContextVar[str] = ContextVar("current_job_id", default="")
