"""The API reference in a browser: drawn in full, and nobody else is asked for anything."""

from __future__ import annotations

from playwright.async_api import Page, expect

from tests.acceptance.served import Served
from tests.playground.person import SLOW_MS


async def test_the_reference_is_drawn_from_this_server_alone(page: Page, server: Served) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(f"{server.url}/docs")
    await expect(page.locator(".opblock").first).to_be_visible(timeout=SLOW_MS)
    assert await page.locator(".opblock").count() > 20
    await page.locator(".opblock-summary-path", has_text="/health/live").click()
    await page.get_by_role("button", name="Try it out").click()
    await page.get_by_role("button", name="Execute").click()
    await expect(page.locator(".live-responses-table")).to_contain_text("200", timeout=SLOW_MS)
    elsewhere = [url for url in asked if not url.startswith((server.url, "data:", "blob:"))]
    assert not elsewhere
    assert any(url.endswith("/health/live") for url in asked)
