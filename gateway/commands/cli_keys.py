"""`retouch keys`: create, list, revoke."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gateway.commands.whole_column import whole
from gateway.errors import NotFoundError
from gateway.keys.api_key import ApiKey, KeyScope
from gateway.keys.setup import key_store
from gateway.settings import Settings

keys = typer.Typer(no_args_is_help=True, help="API keys: create, list, revoke.")


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose it is; shown in lists.")],
    scope: Annotated[KeyScope, typer.Option(help="admin may load models and read metrics.")] = (
        KeyScope.USE
    ),
    requests_per_minute: Annotated[int | None, typer.Option(min=1)] = None,
    megapixels_per_minute: Annotated[
        float | None, typer.Option(min=0.01, help="Painted pixels in a minute, millions.")
    ] = None,
) -> None:
    """Make a key. Its text is shown once: only a hash is kept."""
    key, text = key_store(Settings()).create(
        name,
        scope=scope,
        requests_per_minute=requests_per_minute,
        megapixels_per_minute=megapixels_per_minute,
    )
    typer.echo(f"Key {key.id} for {name!r}. Keep this text, it cannot be shown again:", err=True)
    typer.echo(text)


@keys.command("list")
def list_keys() -> None:
    """All keys, without their secrets."""
    table = Table(
        whole("id"), "name", "scope", "created", "revoked", "requests/min", "megapixels/min"
    )
    for key in key_store(Settings()).all():
        table.add_row(*_row(key))
    Console().print(table)


@keys.command()
def revoke(key_id: Annotated[str, typer.Argument(help="The id that `list` shows.")]) -> None:
    """Make a key useless; running gateways notice within seconds."""
    try:
        key_store(Settings()).revoke(key_id)
    except NotFoundError as error:
        typer.echo(error.message, err=True)
        raise typer.Exit(1) from error


def _row(key: ApiKey) -> list[str]:
    limits = (key.requests_per_minute, key.megapixels_per_minute)
    return [
        key.id,
        key.name,
        str(key.scope),
        _day(key.created_at),
        _day(key.revoked_at),
        *("" if limit is None else f"{limit:g}" for limit in limits),
    ]


def _day(moment: float | None) -> str:
    return "" if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M")
