"""What an edit costs the gateway beside its model: processor time, and stalls of its event loop.

    python -m benchmarks.edit_requests [--rounds 5] [--requests 20] [--output edits.md]

The model gives the picture back, moved by a pixel, and its processor time is taken out, so what is
left is the gateway's: HTTP, decoding a JPEG and a mask, conditions, registration, colour, paste,
PNG, storing and tracking. Every request brings a picture and a mask that the gateway has not seen:
it would not write those again. Beside it, in the same rounds and on the same files, the plain
Pillow way to do the image work alone: decode both, turn upright, blur the mask, composite, encode
as Pillow does it by default; without registration, checks, HTTP and storing.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

import cv2
import httpx
import numpy as np
from PIL import Image, ImageFilter, ImageOps
from skimage import data

from benchmarks.reporting.figures import ratios, spread
from benchmarks.reporting.machine import Machine, describe, processor_s
from benchmarks.reporting.options import add_output_option, positive, recorded
from benchmarks.reporting.report import markdown_table, publish
from benchmarks.workloads.naps import LATENESS_HEADERS, Naps, Neighbour, lateness_rows, neighbour
from gateway.edits.white_balancing import PROXY_SIDE, WhiteBalancer
from gateway.storage.image_store import ImageStore
from gateway.storage.pictures import Pictures
from preprocessing.codec import encode_jpeg, encode_png
from preprocessing.colour_lut import apply_lut
from preprocessing.image_header import ImageLimits
from preprocessing.native_picture import as_fractions, decode_native, proxy
from preprocessing.white_balance import estimate_gains

SIDE = 1024
CLIENTS = 8
LARGE_WH = (4000, 3000)
LUT_WH = (8000, 6000)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    options = _parser().parse_args(arguments)
    machine = Machine("not used")
    picture = photograph((SIDE, SIDE))
    pairs = Pairs()
    with echo_gateway() as (client, pid):
        for pair in pairs.next(3):
            edit(client, *pair)
        rounds = []
        for _ in range(options.rounds):
            fresh = pairs.next(options.requests)
            rounds.append((*_costs(client, pid, fresh), _plain_cost(fresh, picture)))
        ours, net, plain = map(list, zip(*rounds, strict=True))
        with neighbour() as beside:
            idle_naps = _naps_while(client, beside, lambda: time.sleep(3))
            large_edits = partial(_edit_all, client, large_jpegs(), options.requests)
            started = time.perf_counter()
            naps = _naps_while(client, beside, large_edits)
            edits_per_s = CLIENTS * _each(options.requests) / (time.perf_counter() - started)
    large = encode_jpeg(np.tile(photograph((2000, 1500)), (4, 4, 1)), 92)
    balance = [
        (_colours_s(large), asyncio.run(_file_to_file_s(large))) for _ in range(options.rounds)
    ]
    rows = [
        [way, f"{1000 * spread(costs).median:.0f}", ratios(plain, costs).show()]
        for way, costs in {
            "plain Pillow, image work alone": plain,
            "gateway, all that its process does meanwhile": ours,
            "gateway, less what an idle one does": net,
        }.items()
    ]
    lateness = [*lateness_rows("idle", *idle_naps), *lateness_rows("under load", *naps)]
    markdown = "\n\n".join(
        [
            "# Edit requests",
            describe(machine.report()),
            f"JPEG and mask in, PNG out, {SIDE} x {SIDE}; {options.rounds} interleaved rounds of "
            f"{options.requests} requests.",
            markdown_table(["way", "CPU ms", "plain Pillow's / its"], rows),
            f"Event loop, {CLIENTS} clients that edit {LARGE_WH[0]} x {LARGE_WH[1]} JPEGs, "
            f"{edits_per_s:.1f} edits/s:",
            markdown_table(LATENESS_HEADERS, lateness),
            f"White balance of {LUT_WH[0]} x {LUT_WH[1]} pixels: estimate, table and transform "
            f"{spread([entry[0] for entry in balance]).show()} s; from JPEG file to JPEG file "
            f"{spread([entry[1] for entry in balance]).show()} s.",
        ]
    )
    content = {"options": recorded(options), "gateway_s": ours, "net_s": net, "plain_s": plain}
    stalls = {"loop": asdict(naps[0]), "beside": asdict(naps[1]), "edits_per_s": edits_per_s}
    publish(markdown, {**content, "stalls": stalls, "white_balance_s": balance}, options.output)


def photograph(size_wh: tuple[int, int]) -> np.ndarray:  # type: ignore[type-arg]
    """A photograph with the grain of a camera."""
    smooth = cv2.resize(data.astronaut(), size_wh, interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(0).normal(0, 3, smooth.shape)
    return np.clip(smooth + grain, 0, 255).astype(np.uint8)


class Pairs:
    """Pictures and their masks as files, none like another."""

    def __init__(self) -> None:
        self._picture = photograph((SIDE, SIDE))
        self._made = 0

    def next(self, count: int) -> list[tuple[bytes, bytes]]:
        """So many more, made here and now."""
        first, self._made = self._made, self._made + count
        return [self._pair(number) for number in range(first, self._made)]

    def _pair(self, number: int) -> tuple[bytes, bytes]:
        across, along = number % 97, number // 97
        jpeg = encode_jpeg(np.roll(self._picture, (along, 10 * across), (0, 1)), 92)
        return jpeg, encode_png(ellipse((SIDE, SIDE), (across, along)))


def ellipse(size_wh: tuple[int, int], moved: tuple[int, int] = (0, 0)) -> np.ndarray:  # type: ignore[type-arg]
    """A mask over an eighth of the picture, about its middle."""
    levels = np.zeros(size_wh[::-1], np.uint8)
    centre = size_wh[0] // 2 + moved[0], size_wh[1] // 2 + moved[1]
    cv2.ellipse(levels, centre, (size_wh[0] // 6, size_wh[1] // 4), 0, 0, 360, 255, -1)
    return levels


def plain_pillow(jpeg: bytes, mask: bytes, painted: np.ndarray) -> bytes:  # type: ignore[type-arg]
    """The image work of an edit as one writes it at first."""
    original = ImageOps.exif_transpose(Image.open(io.BytesIO(jpeg))).convert("RGB")
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
        command = [sys.executable, "-m", "benchmarks.servers.echo_gateway", folder]
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


def _costs(
    client: httpx.Client, pid: int, pairs: Sequence[tuple[bytes, bytes]]
) -> tuple[float, float]:
    """Processor seconds of an edit: all of the gateway's, and less what an idle one needs."""
    idle = _idle_share(pid)
    painted_s = client.get("/painting").json()["s"]
    whole, wall = _per_request([partial(edit, client, *pair) for pair in pairs], pid)
    whole -= (client.get("/painting").json()["s"] - painted_s) / len(pairs)
    return whole, whole - idle * wall


def _plain_cost(
    pairs: Sequence[tuple[bytes, bytes]],
    painted: np.ndarray,  # type: ignore[type-arg]
) -> float:
    """Processor seconds of the plain way."""
    before = time.process_time()
    for pair in pairs:
        plain_pillow(*pair, painted)
    return (time.process_time() - before) / len(pairs)


def _per_request(requests: Sequence[Callable[[], object]], pid: int) -> tuple[float, float]:
    """Processor seconds of a process, and seconds, per request."""
    before, started = processor_s([pid]), time.perf_counter()
    for request in requests:
        request()
    wall = time.perf_counter() - started
    return (processor_s([pid]) - before) / len(requests), wall / len(requests)


def _idle_share(pid: int) -> float:
    """Of a processor, for a gateway that nobody asks: it looks for jobs all the time."""
    return _per_request([partial(time.sleep, 2)], pid)[0] / 2


def _naps_while(
    client: httpx.Client, beside: Neighbour, work: Callable[[], object]
) -> tuple[Naps, Naps]:
    """Of the event loop meanwhile, and of a process that does nothing else."""
    for _ in range(2):  # the answer about many naps keeps the loop for as long as a bad stall
        client.get("/naps")
    beside.taken()
    work()
    return Naps(**client.get("/naps").json()), beside.taken()


def large_jpegs() -> list[bytes]:
    """A large photograph for each client."""
    picture = photograph(LARGE_WH)
    return [encode_jpeg(np.roll(picture, 16 * n, axis=0), 92) for n in range(CLIENTS)]


def _edit_all(client: httpx.Client, jpegs: list[bytes], requests: int) -> None:
    """Each client edits its picture again and again."""
    png = encode_png(ellipse(LARGE_WH))
    with ThreadPoolExecutor(CLIENTS) as clients:
        each = range(_each(requests))
        list(clients.map(lambda jpeg: [edit(client, jpeg, png) for _ in each], jpegs))


def _each(requests: int) -> int:
    """Large edits of one client."""
    return max(1, requests // 5)


def _colours_s(jpeg: bytes) -> float:
    """Seconds for the colours alone of a picture in memory; one thread."""
    original = decode_native(jpeg)
    started = time.perf_counter()
    gains = estimate_gains(as_fractions(proxy(original, PROXY_SIDE).pixels))
    apply_lut(gains.lut(), original.pixels)
    return time.perf_counter() - started


async def _file_to_file_s(jpeg: bytes) -> float:
    """Seconds from a JPEG in the store to the balanced JPEG and its table there."""
    with tempfile.TemporaryDirectory() as folder:
        pictures = Pictures(ImageStore.in_folder(Path(folder)), ImageLimits())
        stored = await pictures.store.put(jpeg, width=LUT_WH[0], height=LUT_WH[1], format="jpeg")
        started = time.perf_counter()
        await WhiteBalancer(pictures).by_light(stored.id, None)
        return time.perf_counter() - started


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument("--requests", type=positive, default=20)
    add_output_option(parser)
    return parser


if __name__ == "__main__":
    main()
