"""Plain FastAPI over plain diffusers: `python -m benchmarks.peers.diffusers_peer PORT`.

The served checkpoint itself, one job at a time: a pipeline object is not safe for two threads.
"""

import io
import sys
import threading
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Response
from PIL import Image

from benchmarks.workloads.paint_jobs import PaintJob
from benchmarks.workloads.plain_diffusers import paint
from gateway.settings import Settings

app = FastAPI()
one_at_a_time = threading.Lock()


@app.get("/")
async def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "live"}


@app.post("/generate")
def generate(prompt: str, seed: int, side: int, steps: int) -> Response:
    """A picture's PNG."""
    job = PaintJob(task="generate", prompt=prompt, seed=seed, side=side, steps=steps)
    with one_at_a_time:
        _, picture = paint(Path(Settings().model_repository), "cpu", job)
    png = io.BytesIO()
    Image.fromarray(picture).save(png, "PNG", compress_level=1)
    return Response(png.getvalue(), media_type="image/png")


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
