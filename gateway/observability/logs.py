"""Log lines as JSON objects, or as text for people; no pictures, prompts or keys in either."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from gateway.observability.context import current_job_id, current_request_id

_EXTRAS = ("event", "method", "path", "route", "status", "duration_ms", "job_id", "model")


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, message, ids, and the event's own members."""

    def format(self, record: logging.LogRecord) -> str:
        """A record as JSON."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        ids = {"request_id": current_request_id.get(), "job_id": current_job_id.get()}
        line |= {name: value for name, value in ids.items() if value}
        line |= {name: getattr(record, name) for name in _EXTRAS if hasattr(record, name)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def set_up_logs(form: str, level: str = "INFO") -> None:
    """Send all logs to stderr; `form` is json, text, or auto: text on a terminal."""
    handler = logging.StreamHandler()
    as_text = form == "text" or (form == "auto" and sys.stderr.isatty())
    if as_text:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    else:
        handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # It tells every address it calls, and those of webhooks may have keys in them.
    logging.getLogger("httpx").setLevel(max(logging.WARNING, logging.getLogger().level))
