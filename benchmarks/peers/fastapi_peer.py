"""Plain FastAPI: `python -m benchmarks.peers.fastapi_peer PORT`."""

import sys
from typing import Annotated

import uvicorn
from fastapi import FastAPI, File, Form, Response

from benchmarks.peers.tutorial_segmenter import open_segmenter

app = FastAPI()
segmenter = open_segmenter()


@app.get("/")
async def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "live"}


@app.post("/masks")
def masks(
    image: Annotated[bytes, File()], x: Annotated[int, Form()], y: Annotated[int, Form()]
) -> Response:
    """In one of FastAPI's threads, as a plain function is."""
    return Response(segmenter.mask(image, (x, y)), media_type="image/png")


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
