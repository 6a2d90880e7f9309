"""The stock OpenAI SDK against a gateway behind a socket."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from PIL import Image

from gateway.inference_fake import FakeBackend
from tests.gateway.conftest import Gateway, serve, serve_on_a_port
from tests.preprocessing.pictures import ASTRONAUT


@dataclass(frozen=True)
class Sdk:
    """The SDK, plain HTTP to the same address, and the gateway behind both."""

    client: openai.AsyncOpenAI
    http: httpx.AsyncClient
    gateway: Gateway

    async def refused(self, call: str, **fields: Any) -> openai.APIStatusError:
        """The error that an SDK call ends with."""
        with pytest.raises(openai.APIStatusError) as caught:
            await getattr(self.client.images, call)(**fields)
        return caught.value


@asynccontextmanager
async def sdk_for(data_dir: Path, backend: FakeBackend, **settings: Any) -> AsyncIterator[Sdk]:
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(serve(data_dir, backend, **settings))
        http = await stack.enter_async_context(serve_on_a_port(gateway))
        client = openai.AsyncOpenAI(api_key="any", base_url=f"{http.base_url}/v1", max_retries=0)
        async with client:
            yield Sdk(client, http, gateway)


@pytest.fixture(scope="module")
async def shared_sdk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sdk]:
    async with sdk_for(tmp_path_factory.mktemp("data"), FakeBackend()) as made:
        yield made


@pytest.fixture
def sdk(shared_sdk: Sdk) -> Sdk:
    """The shared one, with a backend that remembers nothing."""
    backend = shared_sdk.gateway.backend
    backend.painted.clear()
    backend.failure, backend.step_s, backend.segmentations = None, 0.0, 0
    return shared_sdk


def pixels(b64_json: str | None) -> Any:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(b64_json or ""))).convert("RGB"))


def image_format(b64_json: str | None) -> str:
    return Image.open(io.BytesIO(base64.b64decode(b64_json or ""))).format or ""


def png(array: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def hole(top: int, left: int, bottom: int, right: int) -> bytes:
    """OpenAI's mask for the astronaut: transparent where to edit."""
    height, width = ASTRONAUT.shape[:2]
    rgba = np.full((height, width, 4), 255, np.uint8)
    rgba[top:bottom, left:right, 3] = 0
    return png(rgba)


def file(data: bytes, name: str = "picture.png") -> tuple[str, bytes, str]:
    return name, data, "image/png"
