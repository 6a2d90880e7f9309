"""A picture comes in by every way, upright, up to 24 megapixels."""

from __future__ import annotations

import base64
import io
import re
import time

import numpy as np
import pytest
from PIL import Image
from playwright.async_api import Page, expect

from tests.playground.person import Person

_GIVE = """([kind, base64]) => {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], "given.png", { type: "image/png" }));
  const event = kind === "paste"
    ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true })
    : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
  document.body.dispatchEvent(event);
}"""


def encoded(width: int, height: int, form: str = "PNG", **how: object) -> bytes:
    """A picture whose left upper quarter is red and whose rest is a gradient."""
    ramp = np.linspace(0, 255, width, dtype=np.uint8)
    pixels = np.repeat(np.stack([ramp // 2, ramp, 255 - ramp], 1)[None], height, 0)
    pixels[: height // 2, : width // 2] = (255, 0, 0)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form, **how)
    return out.getvalue()


async def test_a_picture_is_chosen_in_the_file_dialog(person: Person, page: Page) -> None:
    async with page.expect_file_chooser() as chooser:
        await person.button("Open picture").click()
    file = {"name": "chosen.png", "mimeType": "image/png", "buffer": encoded(96, 64)}
    await (await chooser.value).set_files(file)
    await person.sees_picture("chosen.png, 96 x 64")


async def test_a_long_upload_says_how_far_it_is(person: Person, page: Page) -> None:
    """It stays to be read until the picture is there."""
    session = await page.context.new_cdp_session(page)
    line = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": 200_000}
    await session.send("Network.enable")
    await session.send("Network.emulateNetworkConditions", {"offline": False, **line})
    noise = np.random.default_rng(5).integers(0, 256, (400, 400, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG")
    await person.open_file("noise.png", out.getvalue())
    said = page.locator("#status")
    await expect(said).to_have_text(re.compile(r"^Sending noise\.png: \d+ %\.$"))
    await person.sees_picture("noise.png, 400 x 400")
    await expect(said).to_be_empty()


@pytest.mark.parametrize("way", ["paste", "drop"])
async def test_a_picture_is_pasted_and_dropped(person: Person, way: str) -> None:
    picture = base64.b64encode(encoded(96, 64)).decode()
    await person.page.evaluate(_GIVE, [way, picture])
    await person.sees_picture("given.png, 96 x 64")


async def test_a_picture_turned_by_exif_stands_upright(person: Person) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    await person.open_file("turned.jpg", encoded(120, 80, "JPEG", exif=exif), "image/jpeg")
    await person.sees_picture("turned.jpg, 80 x 120")
    corner = await person.page.evaluate(
        """() => {
          const canvas = new OffscreenCanvas(80, 120);
          const context = canvas.getContext("2d");
          context.drawImage(Konva.stages[0].findOne(".picture").image(), 0, 0);
          return [...context.getImageData(70, 10, 1, 1).data];
        }"""
    )
    assert corner[0] > 240
    assert max(corner[1], corner[2]) < 20


async def test_what_is_no_picture_gets_the_servers_sentence(person: Person) -> None:
    await person.open_file("notes.png", b"this is no picture")
    alert = person.page.get_by_role("alert")
    await expect(alert).not_to_be_empty()
    answer = person.server.http.post("/v1/files", files={"file": b"this is no picture"})
    await expect(alert).to_have_text(answer.json()["detail"])


async def test_twenty_four_megapixels_stay_fluid(person: Person, page: Page) -> None:
    """Zooming draws a smaller copy; the mask is drawn sharp again where one looks closely."""
    photograph = encoded(6000, 4000, "JPEG", quality=80)
    await person.open_file("large.jpg", photograph, "image/jpeg")
    await person.sees_picture("large.jpg, 6000 x 4000")
    drawn = "Konva.stages[0].findOne('.picture').image().width"
    assert await page.evaluate(drawn) < 3000
    await page.mouse.move(*await person.place_of((1000, 1000)))
    for _ in range(12):
        await page.mouse.wheel(0, -400)
    assert await page.evaluate(drawn) == 6000
    before = time.perf_counter()
    await person.button("Brush").click()
    await page.evaluate("Konva.stages[0].batchDraw()")
    await person.drag((1000, 1000), (1040, 1010))
    mask = await person.sees_other_mask("")
    assert time.perf_counter() - before < 60
    levels = person.server_mask(mask)
    assert levels.shape == (4000, 6000)
    assert levels[1000, 1010] == 255
    await person.sees_drawn("mask-detail")


async def test_zoom_and_pan(person: Person, page: Page) -> None:
    await person.open_sample()
    scale = await page.evaluate("Konva.stages[0].scaleX()")
    await person.button("Zoom in (+)").click()
    assert await page.evaluate("Konva.stages[0].scaleX()") > scale
    await person.button("Move").click()
    before = await person.place_of((100, 100))
    await person.drag((100, 100), (150, 120))
    after = await person.place_of((100, 100))
    assert after[0] - before[0] > 20
    await person.button("Fit").click()
    assert await page.evaluate("Konva.stages[0].scaleX()") == scale
