"""How a command ends when an export fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from export_scripts.export_errors import ExportError


@contextmanager
def told() -> Iterator[None]:
    """An `ExportError` ends the command with its sentence."""
    try:
        yield
    except ExportError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
