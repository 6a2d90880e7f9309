"""What the existing front end sends and reads."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import httpx
import numpy as np
from PIL import Image

from tests.gateway.conftest import Gateway
from tests.gateway.openai_images.conftest import png
from tests.odd_pictures import photo
from tests.preprocessing.pictures import ASTRONAUT

ORIGIN = {"Origin": "http://localhost:3000"}
HEIGHT, WIDTH = ASTRONAUT.shape[:2]
STATE = {
    "task_id",
    "status",
    "progress",
    "error",
    "current_step",
    "total_steps",
    "loading_message",
}


def b64(data: bytes, *, prefix: bool = False) -> str:
    text = base64.b64encode(data).decode()
    return f"data:image/png;base64,{text}" if prefix else text


def brush() -> bytes:
    """A mask, white where to edit."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[20:80, 30:120] = 255
    return png(mask)


def submission(**fields: Any) -> dict[str, Any]:
    return {
        "prompt": "a hat",
        "input_image": b64(photo()),
        "conditional_images": [b64(brush())],
        "num_inference_steps": 4,
        "task_type": "insertion",
        **fields,
    }


async def submit(client: httpx.AsyncClient, **fields: Any) -> str:
    response = await client.post("/api/generate/async", json=submission(**fields))
    assert response.status_code == 200, response.text
    return str(response.json()["task_id"])


async def finished(gateway: Gateway, **fields: Any) -> str:
    """A task that is done."""
    task = await submit(gateway.client, **fields)
    text = (await gateway.client.get(f"/api/generate/stream/{task}")).text
    assert frames(text)[-1]["status"] == "done", text
    return task


def frames(text: str) -> list[dict[str, Any]]:
    """Frames as the client splits them: LF LF between, `data: ` first."""
    assert text.endswith("\n\n")
    blocks = text[:-2].split("\n\n")
    assert all(block.startswith("data: ") and "\n" not in block for block in blocks), text
    found = [json.loads(block.removeprefix("data: ")) for block in blocks]
    assert all(frame.keys() == STATE for frame in found)
    return found


def pixels(text: str) -> Any:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))
