"""What decoding a large picture takes at its peak, beside the pixels that come out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc"
)
MEGAPIXELS = 24
# Bytes per pixel at the peak, besides the file: 3 come out, alpha is 1 more. Pillow holds 4 for a
# colour, and a converted picture lies beside the one it was made from.
CAPS = {
    "JPEG": 4,
    "PNG": 8,
    "JPEG turned": 8,
    "JPEG with profile": 18,
    "PNG with alpha": 21,
    "16-bit grey PNG": 14,
    "CMYK JPEG": 12,
    "palette PNG": 12,
    "WebP": 19,
    "AVIF": 14,
}
_MEASURE = """
import io, json, sys
from pathlib import Path
import cv2
import numpy as np
from PIL import Image
from preprocessing.codec import decode_image
from tests.preprocessing.pictures import exif, swapped_profile

def read(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":")) * 1024

def encode(picture, form, **options):
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()

def files(width, height):
    rgb = Image.fromarray(np.full((height, width, 3), 90, np.uint8))
    yield "JPEG", encode(rgb, "JPEG")
    yield "PNG", cv2.imencode(".png", np.asarray(rgb))[1].tobytes()
    yield "JPEG turned", encode(rgb, "JPEG", exif=exif(6))
    yield "JPEG with profile", encode(rgb, "JPEG", icc_profile=swapped_profile())
    yield "CMYK JPEG", encode(rgb.convert("CMYK"), "JPEG")
    yield "palette PNG", encode(rgb.convert("P"), "PNG", compress_level=1)
    yield "WebP", encode(rgb, "WEBP", quality=1, method=0)
    yield "AVIF", encode(rgb, "AVIF", speed=10)
    deep = np.full((height, width), 9000, np.uint16)
    yield "16-bit grey PNG", cv2.imencode(".png", deep)[1].tobytes()
    clear = np.full((height, width, 4), 90, np.uint8)
    yield "PNG with alpha", cv2.imencode(".png", clear)[1].tobytes()

decode_image(encode(Image.new("RGB", (64, 64)), "PNG"))
peaks = {}
for name, data in files(6000, int(sys.argv[1]) * 10**6 // 6000):
    Path("/proc/self/clear_refs").write_text("5")
    before = read("VmRSS")
    decode_image(data)
    peaks[name] = (read("VmHWM") - before) / (int(sys.argv[1]) * 10**6)
print(json.dumps(peaks))
"""


@pytest.fixture(scope="module")
def peaks() -> dict[str, float]:
    command = [sys.executable, "-c", _MEASURE, str(MEGAPIXELS)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    return json.loads(run.stdout)


@pytest.mark.parametrize("name", CAPS)
def test_peak_memory_per_pixel_is_bounded(peaks: dict[str, float], name: str) -> None:
    assert 2 < peaks[name] < CAPS[name]
