"""What one does with a result: compare, read the receipt, download, go on, copy the call."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from tests.playground.person import DISC, SLOW_MS, Person


@pytest.fixture
async def card(person: Person) -> Locator:
    """A removal that is done."""
    await person.open_sample()
    await person.click(DISC)
    await person.fill("Steps", "2")
    card = await person.start()
    await person.sees(card, "succeeded")
    return card


async def opened(person: Person, card: Locator) -> Locator:
    await card.get_by_role("button", name="Open", exact=True).click()
    dialog = person.page.get_by_role("dialog")
    await expect(dialog).to_be_visible(timeout=SLOW_MS)
    return dialog


async def test_compare_receipt_and_facts(person: Person, card: Locator) -> None:
    dialog = await opened(person, card)
    await expect(dialog).to_contain_text("every pixel equals the original, bit for bit")
    job = await person.job_of(card)
    await expect(dialog.locator("#result-facts")).to_contain_text(str(job["output"][0]["seed"]))
    slider = dialog.get_by_role("slider")
    await slider.fill("80")
    clip = await dialog.locator(".slider img").nth(1).evaluate("image => image.style.clipPath")
    assert clip == "inset(0px 20% 0px 0px)"
    await dialog.get_by_role("button", name="Side by side").click()
    await expect(dialog.locator("figure")).to_have_count(2)
    await dialog.get_by_role("button", name="Difference").click()
    await expect(dialog).to_contain_text("Outside the mask none does.")


async def test_download_and_use_as_input(person: Person, card: Locator, page: Page) -> None:
    dialog = await opened(person, card)
    async with page.expect_download() as download:
        await dialog.get_by_role("link", name="Download").click()
    path = await (await download.value).path()
    job = await person.job_of(card)
    assert _bytes(path) == person.server.http.get(job["urls"]["result"]).content
    await dialog.get_by_role("button", name="Use as input").click()
    await person.sees_picture("result, 512 x 512")


def _bytes(path: Path) -> bytes:
    return path.read_bytes()


async def copied(page: Page, language: str) -> str:
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name=language).click()
    return await dialog.locator("#code-text").inner_text()


async def test_a_job_as_code_paints_the_same_again(
    person: Person, card: Locator, page: Page, tmp_path: Path
) -> None:
    await card.get_by_role("button", name="Copy as code").click()
    job = await person.job_of(card)
    curl = await copied(page, "curl")
    again = person.server.finish(json.loads(_output(["bash", "-c", curl])))
    assert again["output"][0]["sha256"] == job["output"][0]["sha256"]
    script = tmp_path / "call.py"
    script.write_text(await copied(page, "Python"))
    assert "job_" in _output([sys.executable, str(script)])
    javascript = await copied(page, "JavaScript")
    assert javascript.startswith("const answer = await fetch(")


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


async def test_every_call_of_the_page_can_be_copied(
    person: Person, card: Locator, page: Page
) -> None:
    await person.button("Code").first.click()
    calls = await page.get_by_role("dialog").get_by_role("option").all_inner_texts()
    assert {"POST /v1/masks", "POST /v1/files", "POST /v1/jobs (remove)"} <= set(calls)


async def test_edit_again_fills_the_form(person: Person, card: Locator) -> None:
    seed = (await person.job_of(card))["output"][0]["seed"]
    await person.choose_task("Generate")
    await card.get_by_role("button", name="Edit again").click()
    await expect(person.page.locator('#advanced-fields [name="seed"]')).to_have_value(str(seed))
    await expect(person.page.get_by_role("radio", name="Remove")).to_be_checked()
