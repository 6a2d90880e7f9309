"""Jobs as one watches them: progress, place in line, cancel, reload, restart, a slow line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.acceptance.served import Served
from tests.playground.broken_line import Line
from tests.playground.person import SLOW_MS, Person

JPEG = re.compile("^data:image/jpeg;base64,")


async def begin(person: Person, *, steps: int) -> Locator:
    await person.choose_task("Generate")
    await person.page.get_by_label("In words").fill("a lighthouse at dusk")
    await person.fill("Steps", str(steps))
    return await person.start()


async def test_step_time_left_and_preview_are_seen(person: Person) -> None:
    card = await begin(person, steps=60)
    await expect(card.locator(".detail")).to_contain_text("of 60", timeout=SLOW_MS)
    await expect(card.get_by_role("img")).to_have_attribute("src", JPEG, timeout=SLOW_MS)
    await card.get_by_role("button", name="Cancel").click()
    await person.sees(card, "canceled")
    assert (await person.job_of(card))["status"] == "canceled"


async def test_several_at_once_and_a_place_in_line(person: Person) -> None:
    """The server works on two jobs of a model at once."""
    cards = [await begin(person, steps=100) for _ in range(4)]
    await person.sees(cards[1], "running")
    waiting = re.compile(r"^1 job before this one(, done in about \d+ s)?$")
    await expect(cards[3].locator(".detail")).to_have_text(waiting, timeout=SLOW_MS)
    for card in (cards[3], cards[2]):
        await card.get_by_role("button", name="Cancel").click()
        await person.sees(card, "canceled")
    for card in cards[:2]:
        await person.sees(card, "succeeded")


async def test_a_reload_in_mid_job_brings_it_back(person: Person, page: Page) -> None:
    await person.open_sample()
    card = await begin(person, steps=100)
    await expect(card.locator(".detail")).to_contain_text("of 100", timeout=SLOW_MS)
    await page.reload()
    await expect(card.locator(".detail")).to_contain_text("of 100", timeout=SLOW_MS)
    await person.sees_picture("scene.png, 512 x 512")
    await card.get_by_role("button", name="Cancel").click()
    await person.sees(card, "canceled")


async def test_a_failed_job_says_the_servers_sentence(person: Person) -> None:
    failed = person.server.submit(
        task="generate", prompt="late", num_inference_steps=100, deadline_s=0.05
    )
    person.server.finish(failed)
    await person.visit()
    card = person.page.locator(f'[data-job="{failed["id"]}"]')
    await person.sees(card, "failed")
    message = (await person.job_of(card))["error"]["message"]
    await expect(card.locator(".detail")).to_have_text(message)


async def test_a_slow_line_that_breaks_is_taken_up_again(person: Person, page: Page) -> None:
    """The events go on behind the last one that arrived."""
    line = Line(person.server.port)
    session = await page.context.new_cdp_session(page)
    slow = {"latency": 200, "downloadThroughput": 100_000, "uploadThroughput": 100_000}
    await page.goto(await line.open())
    card = await begin(person, steps=60)
    await session.send("Network.enable")
    await session.send("Network.emulateNetworkConditions", {"offline": False, **slow})
    await expect(card.locator(".detail")).to_contain_text("of 60", timeout=SLOW_MS)
    line.cut()
    await person.sees(card, "succeeded")
    assert re.search(rb"last-event-id: [1-9]", line.sent)
    line.close()


@pytest.mark.timeout(400)
async def test_a_server_killed_in_mid_job_carries_on(browser: Browser, tmp_path: Path) -> None:
    server = Served(tmp_path, jobs_per_model=2)
    context = await browser.new_context()
    try:
        server.wait_ready()
        person = Person(await context.new_page(), server)
        await person.visit()
        card = await begin(person, steps=60)
        await expect(card.locator(".detail")).to_contain_text("of 60", timeout=SLOW_MS)
        server.process.kill()
        server.process.wait()
        await expect(card.locator(".detail")).to_contain_text("line is down", timeout=SLOW_MS)
        server.http.close()
        server = Served(tmp_path, port=server.port, jobs_per_model=2)
        server.wait_ready()
        await person.sees(card, "succeeded")
    finally:
        await context.close()
        server.stop()
