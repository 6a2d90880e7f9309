"""What one does with a result: compare, read the receipt, download, go on, copy the call."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import playwright
import pytest
from PIL import Image
from playwright.async_api import Locator, Page, expect

from tests.playground.person import DISC, SLOW_MS, Person

NODE = Path(playwright.__file__).parent / "driver" / "node"
"""Playwright's own, so that nothing else need be installed."""


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
    module = tmp_path / "call.mjs"
    module.write_text(await copied(page, "JavaScript"))
    third = person.server.finish(json.loads(_output([str(NODE), str(module)])))
    assert third["output"][0]["sha256"] == job["output"][0]["sha256"]
    await page.get_by_label("Start it, wait for it, fetch it").select_option(index=2)
    _output(["bash", "-c", await copied(page, "curl")], tmp_path)
    fetched = (tmp_path / "result.png").read_bytes()
    assert fetched == person.server.http.get(job["urls"]["result"]).content


async def test_an_upload_as_code_runs_in_each_language(
    person: Person, page: Page, tmp_path: Path
) -> None:
    """Where the file lies; a name that a shell or a form would take apart is one name."""
    name = 'it\'s "one"; name.png'
    (tmp_path / name).write_bytes(_png())
    await person.open_file(name, _png())
    await person.sees_picture(f"{name}, 64 x 48")
    await person.button("Code").first.click()
    uploads = page.get_by_label("Calls that this page made").get_by_text("POST /v1/files")
    await expect(uploads).to_have_count(1)
    id_ = json.loads(_output(["bash", "-c", await copied(page, "curl")], tmp_path))["id"]
    (tmp_path / "call.py").write_text(await copied(page, "Python"))
    assert id_ in _output([sys.executable, "call.py"], tmp_path)
    (tmp_path / "call.mjs").write_text(await copied(page, "JavaScript"))
    assert id_ in _output([str(NODE), "call.mjs"], tmp_path)


async def test_code_goes_to_the_clipboard(person: Person, page: Page) -> None:
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await person.open_sample()
    await person.button("Code").first.click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Copy", exact=True).click()
    await expect(dialog.get_by_role("button", name="Copied")).to_be_visible()
    shown = await dialog.locator("#code-text").inner_text()
    assert await page.evaluate("navigator.clipboard.readText()") == shown


def _png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 48), "teal").save(out, "PNG")
    return out.getvalue()


def _output(command: list[str], folder: Path | None = None) -> str:
    done = subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout


async def test_every_call_of_the_page_can_be_copied(
    person: Person, card: Locator, page: Page
) -> None:
    await person.button("Code").first.click()
    calls = await page.get_by_role("dialog").get_by_role("option").all_inner_texts()
    assert {"POST /v1/masks", "POST /v1/files", "POST /v1/jobs (remove)"} <= set(calls)


async def test_edit_again_brings_back_form_picture_and_mask(person: Person, card: Locator) -> None:
    seed = (await person.job_of(card))["output"][0]["seed"]
    mask = (await person.job_of(card))["parameters"]["mask"]
    await person.open_file("other.png", _png())
    await person.sees_picture("other.png, 64 x 48")
    await person.choose_task("Generate")
    await card.get_by_role("button", name="Edit again").click()
    await expect(person.page.locator('#advanced-fields [name="seed"]')).to_have_value(str(seed))
    await expect(person.page.get_by_role("radio", name="Remove")).to_be_checked()
    await person.sees_picture("earlier picture, 512 x 512")
    shown = person.server_mask(await person.sees_other_mask(""))
    assert (shown == person.server_mask(mask)).all()
