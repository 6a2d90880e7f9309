"""Reads every log record of a whole test run for what must never be in one."""

from __future__ import annotations

import logging
import re

from gateway.observability.logs import JsonFormatter

SECRET = re.compile(r"rt_[0-9a-f]{12}_[\w-]{43}|Bearer \S|iVBORw0KGgo|/9j/4AAQ|whsec_\w")
"""Keys, headers that carry them, base64 of PNG and of JPEG, secrets of webhooks."""


class LogWatch(logging.Handler):
    """Keeps the records that hold a secret."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self.records = 0
        self.leaks: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records += 1
        line = self.format(record)
        if SECRET.search(line):
            self.leaks.append(line[:500])
