"""How a job in a pipeline model can end other than with a picture."""

from __future__ import annotations


class StageError(RuntimeError):
    """A stage model refused or failed; the message is its own."""


class JobCanceledError(Exception):
    """The client went away or canceled; raised between two steps."""
