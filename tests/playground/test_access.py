"""For everyone: keys of the keyboard, readers, touch, every width, both themes; API keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from playwright.async_api import Browser, Page, expect

from gateway.keys.key_store import KeyStore
from tests.acceptance.served import Served
from tests.playground.person import DISC, SLOW_MS, Person

AXE = Path(AXE_FILE_PATH).read_text()


async def serious(page: Page) -> list[str]:
    """What axe-core finds that is serious or worse."""
    await page.evaluate(AXE)
    found: dict[str, Any] = await page.evaluate("axe.run()")
    return [
        f"{one['id']}: {one['nodes'][0]['html']}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing_serious(person: Person, page: Page, theme: str) -> None:
    # Without motion: colours on their way to the other theme are not those that one reads.
    await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    assert await serious(page) == []
    await person.open_sample()
    await person.click(DISC)
    await person.fill("Steps", "1")
    card = await person.start()
    await person.sees(card, "succeeded")
    assert await serious(page) == []
    await card.get_by_role("button", name="Open", exact=True).click()
    await expect(page.get_by_role("dialog")).to_contain_text("bit for bit", timeout=SLOW_MS)
    assert await serious(page) == []
    await person.visit("/admin")
    await expect(page.locator("#models tr")).not_to_have_count(0)
    assert await serious(page) == []


async def test_by_keyboard_alone(person: Person, page: Page) -> None:
    await page.get_by_role("button", name="Use the sample picture").focus()
    await page.keyboard.press("Enter")
    await person.sees_picture("scene.png, 512 x 512")
    await page.locator("#stage").focus()
    for _ in range(8):
        await page.keyboard.press("ArrowRight")
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    levels = person.server_mask(await person.sees_other_mask(""))
    assert levels[256 + 160, 256 + 80] == 255
    await page.keyboard.press("b")
    await expect(person.button("Box")).to_have_attribute("aria-pressed", "true")


async def test_on_a_phone_by_touch(browser: Browser, server: Served) -> None:
    context = await browser.new_context(
        viewport={"width": 360, "height": 740},
        has_touch=True,
        is_mobile=True,
        device_scale_factor=2,
    )
    page = await context.new_page()
    person = Person(page, server)
    await person.visit()
    await page.get_by_role("button", name="Use the sample picture").tap()
    await person.sees_picture("scene.png, 512 x 512")
    for name in ("Move", "Undo", "Start"):
        await expect(person.button(name)).to_be_in_viewport(ratio=0.5)
    assert await serious(page) == []
    await page.locator("#stage").scroll_into_view_if_needed()
    await page.touchscreen.tap(*await person.place_of(DISC))
    levels = person.server_mask(await person.sees_other_mask(""))
    assert levels[DISC[1], DISC[0]] == 255
    before = await page.evaluate("Konva.stages[0].scaleX()")
    await _pinch(page, await person.place_of((256, 256)))
    assert await page.evaluate("Konva.stages[0].scaleX()") > 1.5 * before
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
    await context.close()


async def _pinch(page: Page, middle: tuple[float, float]) -> None:
    session = await page.context.new_cdp_session(page)
    x, y = middle

    async def touch(kind: str, apart: float) -> None:
        points = [{"x": x - apart, "y": y, "id": 1}, {"x": x + apart, "y": y, "id": 2}]
        await session.send(
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": points if apart else []}
        )

    await touch("touchStart", 30)
    for apart in (40, 50, 60, 70):
        await touch("touchMove", apart)
    await touch("touchEnd", 0)


@pytest.mark.parametrize("width", [360, 768, 1360, 3840])
async def test_nothing_is_cut_off_at_any_width(person: Person, page: Page, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": max(740, width * 9 // 16)})
    for path in ("/", "/admin"):
        await person.visit(path)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width


async def test_a_server_that_is_gone_is_said_so_until_it_is_back(
    person: Person, page: Page
) -> None:
    note = page.locator("#model-note")
    await page.context.set_offline(True)
    await expect(note).to_contain_text("The server does not answer", timeout=SLOW_MS)
    await page.context.set_offline(False)
    await expect(note).to_contain_text("weights are random", timeout=SLOW_MS)


async def test_the_theme_stays(person: Person, page: Page) -> None:
    await page.emulate_media(color_scheme="light")
    await person.button("Dark").click()
    await page.reload()
    assert await page.evaluate("document.documentElement.dataset.theme") == "dark"
    await expect(person.button("Dark")).to_have_attribute("aria-pressed", "true")


@pytest.mark.timeout(300)
async def test_a_key_is_asked_for_once_and_stays_in_the_tab(
    browser: Browser, tmp_path: Path
) -> None:
    store = KeyStore.in_folder(tmp_path)
    text = store.create("ann")[1]
    store.close()
    server = Served(tmp_path)
    context = await browser.new_context()
    try:
        server.http.headers["Authorization"] = f"Bearer {text}"
        server.wait_ready()
        person = Person(page := await context.new_page(), server)
        await person.visit()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Key").fill(text)
        await dialog.get_by_role("button", name="Use it").click()
        await expect(page.locator("#model-note")).to_contain_text("weights are random")
        await page.reload()
        await person.open_sample()
        levels = person.server_mask(await person.click(DISC))
        assert levels[DISC[1], DISC[0]] == 255
        await expect(dialog).to_be_hidden()
        stranger = await context.new_page()
        await stranger.goto(server.url)
        await expect(stranger.get_by_role("dialog")).to_be_visible()
    finally:
        await context.close()
        server.stop()
