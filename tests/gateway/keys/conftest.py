"""A gateway with two keys and an admin's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from gateway.inference_fake import FakeBackend
from gateway.keys.api_key import KeyScope
from gateway.keys.key_store import KeyStore
from tests.gateway.conftest import Gateway, serve


@dataclass(frozen=True)
class Keyed:
    """A gateway that needs keys; headers of three holders, and of nobody."""

    gateway: Gateway
    texts: dict[str, str]

    @property
    def client(self) -> httpx.AsyncClient:
        return self.gateway.client

    def headers(self, who: str) -> dict[str, str]:
        text = self.texts.get(who)
        return {"Authorization": f"Bearer {text}"} if text else {}


@pytest.fixture
async def keyed(tmp_path: Path) -> AsyncIterator[Keyed]:
    store = KeyStore.in_folder(tmp_path)
    texts = {
        "ann": store.create("ann")[1],
        "bob": store.create("bob")[1],
        "admin": store.create("admin", scope=KeyScope.ADMIN)[1],
        "slow": store.create("slow", requests_per_minute=3)[1],
        "small": store.create("small", megapixels_per_minute=0.01)[1],
    }
    store.close()
    async with serve(tmp_path, FakeBackend(step_s=0.01)) as gateway:
        yield Keyed(gateway, texts)
