"""A gateway behind a socket, and both clients of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.inference_fake import FakeBackend
from tests.gateway.conftest import Gateway, keyed, serve, serve_on_a_port

__all__ = ["keyed", "served"]


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[Gateway, str]]:
    """The gateway and its address; a step takes a moment."""
    async with (
        serve(tmp_path, FakeBackend(step_s=0.03)) as gateway,
        serve_on_a_port(gateway) as client,
    ):
        yield gateway, str(client.base_url)
