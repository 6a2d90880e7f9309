"""What can stop an export; every message is a sentence for the person at the terminal."""

from __future__ import annotations


class ExportError(Exception):
    """The export was not done, and what was there before is untouched."""
