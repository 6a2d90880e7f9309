"""A column of a table on the terminal whose texts are never cut short."""

from __future__ import annotations

from rich.table import Column


def whole(header: str) -> Column:
    """Such a column, for ids: what it shows is copied into the next command.

    >>> whole("id").no_wrap
    True
    """
    return Column(header, no_wrap=True, overflow="fold")
