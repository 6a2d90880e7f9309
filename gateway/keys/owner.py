"""Whose work is being done: the id of the key, or nothing where keys are off."""

from __future__ import annotations

from contextvars import ContextVar

current_owner: ContextVar[str] = ContextVar("current_owner", default="")
"""Set for each request, and for each job while it runs."""


def may_see(owner: str) -> bool:
    """Whether a thing of `owner` is there for whoever asks; where keys are off, everything is."""
    asking = current_owner.get()
    return not asking or asking == owner
