"""The admin page on a real server."""

from __future__ import annotations

from playwright.async_api import Page, expect

from tests.playground.person import SLOW_MS, Person


async def test_models_queue_health_and_charts(person: Person, page: Page) -> None:
    await person.visit("/admin")
    await expect(page.locator("#health")).to_have_text("Ready", timeout=SLOW_MS)
    await expect(page.locator("#models")).to_contain_text("qwen_image_transformer")
    await expect(page.locator("#queue li")).to_have_count(5)
    requests = page.locator(".chart", has_text="Requests")
    await expect(requests.locator("strong")).to_contain_text("per s", timeout=SLOW_MS)
    await expect(requests.locator("strong")).not_to_have_text("0.0 per s")


async def test_unload_and_load(person: Person, page: Page) -> None:
    await person.visit("/admin")
    await expect(page.get_by_role("button", name="Load fastsam", exact=True)).to_be_disabled()
    await page.get_by_role("button", name="Unload fastsam").click()
    await expect(page.get_by_role("status")).to_have_text("Unload: fastsam, done.", timeout=SLOW_MS)
    await page.get_by_role("button", name="Load fastsam", exact=True).click()
    await expect(page.get_by_role("status")).to_have_text("Load: fastsam, done.", timeout=SLOW_MS)
