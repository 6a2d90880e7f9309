"""What somebody does on the playground, and sees."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.async_api import Locator, Page, expect

from tests.acceptance.served import Served

DISC = (365, 426)
"""On an object of the sample picture."""
OTHER = (420, 110)
"""On another one."""
SLOW_MS = 60_000
"""A machine under load may need long for one step."""
_OVERLAY = """() => {
  const canvas = Konva.stages[0].findOne(".mask").image();
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  const levels = [];
  for (let at = 3; at < data.length; at += 4) levels.push(data[at]);
  return { levels, width, height };
}"""


class Person:
    """Acts through what is on the screen alone; looks at pixels to judge."""

    def __init__(self, page: Page, server: Served) -> None:
        self.page = page
        self.server = server

    async def visit(self, path: str = "/") -> None:
        await self.page.goto(self.server.url + path)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    async def open_sample(self) -> None:
        await self.button("Use the sample picture").click()
        await self.sees_picture("scene.png, 512 x 512")

    async def open_file(self, name: str, data: bytes, mime: str = "image/png") -> None:
        file = {"name": name, "mimeType": mime, "buffer": data}
        await self.page.locator("#file").set_input_files(file)

    async def sees_picture(self, words: str) -> None:
        await expect(self.page.locator("#picture-name")).to_have_text(words, timeout=SLOW_MS)
        await expect(self.page.locator("#welcome")).to_be_hidden()

    async def place_of(self, point: tuple[float, float]) -> tuple[float, float]:
        """Where a pixel of the picture is on the screen."""
        left, top, scale = await self.page.evaluate(
            """() => {
              const stage = Konva.stages[0];
              const { left, top } = document.querySelector("#stage").getBoundingClientRect();
              return [left + stage.x(), top + stage.y(), stage.scaleX()];
            }"""
        )
        return left + point[0] * scale, top + point[1] * scale

    async def click(self, point: tuple[float, float], **how: Any) -> str:
        """Click on the picture; the id of the mask that is then shown."""
        before = await self.mask_id()
        await self.page.mouse.click(*await self.place_of(point), **how)
        return await self.sees_other_mask(before)

    async def drag(self, *points: tuple[float, float]) -> None:
        await self.page.mouse.move(*await self.place_of(points[0]))
        await self.page.mouse.down()
        for point in points[1:]:
            await self.page.mouse.move(*await self.place_of(point), steps=4)
        await self.page.mouse.up()

    async def mask_id(self) -> str:
        return await self.page.locator("#stage").get_attribute("data-shown-mask") or ""

    async def sees_other_mask(self, before: str) -> str:
        """The id of the mask on the screen, once it is another one."""
        stage = self.page.locator("#stage")
        await expect(stage).not_to_have_attribute("data-shown-mask", before, timeout=SLOW_MS)
        return await self.mask_id()

    async def operate(self, name: str) -> str:
        before = await self.mask_id()
        await self.button(name).click()
        return await self.sees_other_mask(before)

    def server_mask(self, mask_id: str) -> NDArray[np.uint8]:
        """Levels of a mask as the server has it."""
        data = self.server.http.get(f"/v1/files/{mask_id}/content").content
        return np.asarray(Image.open(io.BytesIO(data)).convert("L"))

    async def sees_drawn(self, name: str) -> None:
        """Something on the stage that is drawn, not an element; the policy forbids `wait_for`."""
        visible = f"Konva.stages[0].findOne('.{name}').visible()"
        for _ in range(SLOW_MS // 100):
            if await self.page.evaluate(visible):
                return
            await self.page.wait_for_timeout(100)
        raise AssertionError(f"{name} is not drawn")

    async def overlay(self) -> NDArray[np.uint8]:
        """Opacity of the mask on the screen."""
        drawn = await self.page.evaluate(_OVERLAY)
        return np.array(drawn["levels"], np.uint8).reshape(drawn["height"], drawn["width"])

    async def choose_task(self, name: str) -> None:
        await self.page.get_by_role("radio", name=name, exact=True).check()

    async def fill(self, label: str, value: str) -> None:
        """A field, opening Advanced where it lies there."""
        details = self.page.locator("details.advanced")
        if await details.get_attribute("open") is None:
            await self.page.get_by_text("Advanced").click()
        await details.get_by_label(label).fill(value)

    async def start(self) -> Locator:
        """Start the job; its card."""
        count = await self.page.locator(".job").count()
        await self.button("Start").click()
        await expect(self.page.locator(".job")).to_have_count(count + 1, timeout=SLOW_MS)
        job_id = await self.page.locator(".job").first.get_attribute("data-job")
        return self.page.locator(f'[data-job="{job_id}"]')

    async def sees(self, card: Locator, status: str) -> None:
        await expect(card).to_have_attribute("data-status", status, timeout=2 * SLOW_MS)

    async def job_of(self, card: Locator) -> dict[str, Any]:
        """The job as the server has it."""
        job_id = await card.get_attribute("data-job")
        job: dict[str, Any] = self.server.http.get(f"/v1/jobs/{job_id}").json()
        return job
