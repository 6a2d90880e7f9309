"""What an edit costs the gateway beside its model: processor time, and stalls of its event loop.

    python -m benchmarks.edit_requests [--rounds 5] [--requests 20] [--output edits.md]

The model gives the picture back in no time, so what is left is the gateway's: HTTP, decoding a JPEG
and a mask, conditions, registration, colour, paste, PNG, storing and tracking. Beside it, in the
same rounds, the plain Pillow way to do the image work alone: decode both, blur the mask, composite,
encode; without registration, checks or HTTP.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import cv2
import httpx
import numpy as np
from PIL import Image, ImageFilter
from skimage import data

from benchmarks.figures import percentile, ratios, spread
from benchmarks.machine import Machine, describe, processor_s
from benchmarks.options import add_output_option, positive, recorded
from benchmarks.report import markdown_table, publish
from preprocessing.codec import encode_jpeg, encode_png
from preprocessing.colour_lut import apply_lut
from preprocessing.native_picture import as_fractions, decode_native, encode_native, proxy
from preprocessing.white_balance import estimate_gains

SIDE = 1024
CLIENTS = 8
LARGE_WH = (4000, 3000)
LUT_WH = (8000, 6000)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    options = _parser().parse_args(arguments)
    machine = Machine("not used")
    picture, mask = photograph((SIDE, SIDE)), ellipse((SIDE, SIDE))
    jpeg, png = encode_jpeg(picture, 92), encode_png(mask)
    with echo_gateway() as (client, pid):
        edit(client, jpeg, png)
        ours, plain = [], []
        for _ in range(options.rounds):
            ours.append(_per_request(lambda: edit(client, jpeg, png), options.requests, [pid]))
            plain.append(_own_time(lambda: plain_pillow(jpeg, png, picture), options.requests))
        stalls = _stalls(client, options.requests)
    balance = [_white_balance_s() for _ in range(options.rounds)]
    rows = [
        ["gateway, whole request", f"{1000 * spread(ours).median:.0f}", "1.00"],
        [
            "plain Pillow, image work",
            f"{1000 * spread(plain).median:.0f}",
            ratios(plain, ours).show(),
        ],
    ]
    late = {percent: percentile(stalls, percent) for percent in (50, 99, 99.9)}
    markdown = "\n\n".join(
        [
            "# Edit requests",
            describe(machine.report()),
            f"JPEG and mask in, PNG out, {SIDE} x {SIDE}; {options.rounds} interleaved rounds of "
            f"{options.requests} requests.",
            markdown_table(["way", "CPU ms", "/ gateway"], rows),
            f"Event loop, {CLIENTS} clients that edit {LARGE_WH[0]} x {LARGE_WH[1]} JPEGs: late "
            + ", ".join(f"p{percent:g} {ms:.1f} ms" for percent, ms in late.items())
            + f" ({len(stalls)} ticks).",
            f"White balance of {LUT_WH[0]} x {LUT_WH[1]} pixels: estimate, table and transform "
            f"{spread([entry[0] for entry in balance]).show()} s; with JPEG in and out "
            f"{spread([entry[1] for entry in balance]).show()} s.",
        ]
    )
    content = {"options": recorded(options), "gateway_s": ours, "plain_s": plain, "late_ms": late}
    publish(markdown, {**content, "white_balance_s": balance}, options.output)


def photograph(size_wh: tuple[int, int]) -> np.ndarray:  # type: ignore[type-arg]
    """A photograph with the grain of a camera."""
    smooth = cv2.resize(data.astronaut(), size_wh, interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(0).normal(0, 3, smooth.shape)
    return np.clip(smooth + grain, 0, 255).astype(np.uint8)


def ellipse(size_wh: tuple[int, int]) -> np.ndarray:  # type: ignore[type-arg]
    """A mask over an eighth of the picture."""
    levels = np.zeros(size_wh[::-1], np.uint8)
    centre = size_wh[0] // 2, size_wh[1] // 2
    cv2.ellipse(levels, centre, (size_wh[0] // 6, size_wh[1] // 4), 0, 0, 360, 255, -1)
    return levels


def plain_pillow(jpeg: bytes, mask: bytes, painted: np.ndarray) -> bytes:  # type: ignore[type-arg]
    """The image work of an edit as one writes it at first."""
    original = Image.open(io.BytesIO(jpeg)).convert("RGB")
    soft = Image.open(io.BytesIO(mask)).convert("L").filter(ImageFilter.GaussianBlur(4))
    stream = io.BytesIO()
    Image.composite(Image.fromarray(painted), original, soft).save(stream, "PNG")
    return stream.getvalue()


def edit(client: httpx.Client, jpeg: bytes, mask: bytes) -> bytes:
    """One edit, picture and mask in the request, the result in the answer."""
    response = client.post(
        "/v1/jobs",
        data={"task": "edit", "prompt": "x", "seed": "1", "num_inference_steps": "1"},
        files={"image": jpeg, "mask": mask},
        headers={"Accept": "image/png"},
    )
    assert response.status_code == 200, response.text
    return response.content


@contextmanager
def echo_gateway() -> Iterator[tuple[httpx.Client, int]]:
    """A client of a gateway in a process of its own, and that process's id."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.echo_gateway", folder]
        process = subprocess.Popen(command)
        try:
            port = Path(folder) / "port"
            while not port.exists() or not port.read_text():
                assert process.poll() is None, "the gateway did not start"
                time.sleep(0.05)
            with httpx.Client(
                base_url=f"http://127.0.0.1:{port.read_text()}", timeout=120
            ) as client:
                yield client, process.pid
        finally:
            process.terminate()
            process.wait(timeout=30)


def _per_request(work: Callable[[], object], requests: int, pids: list[int]) -> float:
    before = processor_s(pids)
    for _ in range(requests):
        work()
    return (processor_s(pids) - before) / requests


def _own_time(work: Callable[[], object], requests: int) -> float:
    before = time.process_time()
    for _ in range(requests):
        work()
    return (time.process_time() - before) / requests


def _stalls(client: httpx.Client, requests: int) -> list[float]:
    """Latenesses of the event loop, in milliseconds, while clients edit large pictures."""
    picture, mask = photograph(LARGE_WH), ellipse(LARGE_WH)
    jpegs = [encode_jpeg(np.roll(picture, 16 * n, axis=0), 92) for n in range(CLIENTS)]
    png = encode_png(mask)
    client.get("/stalls")
    with ThreadPoolExecutor(CLIENTS) as clients:
        each = max(1, requests // 5)
        list(clients.map(lambda jpeg: [edit(client, jpeg, png) for _ in range(each)], jpegs))
    seen: list[float] = client.get("/stalls").json()["ms"]
    return seen


def _white_balance_s() -> tuple[float, float]:
    """Seconds for the colours alone, and with decoding and encoding; one thread, as a request."""
    large = np.tile(photograph((2000, 1500)), (4, 4, 1))
    assert large.shape == (LUT_WH[1], LUT_WH[0], 3)
    jpeg = encode_jpeg(large, 92)
    started = time.perf_counter()
    original = decode_native(jpeg)
    decoded = time.perf_counter()
    gains = estimate_gains(as_fractions(proxy(original, 512).pixels))
    balanced = replace(original, pixels=apply_lut(gains.lut(), original.pixels))
    done = time.perf_counter()
    encode_native(balanced, "jpeg")
    return done - decoded, time.perf_counter() - started


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument("--requests", type=positive, default=20)
    add_output_option(parser)
    return parser


if __name__ == "__main__":
    main()
