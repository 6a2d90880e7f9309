"""Every task from the form to its result."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image
from playwright.async_api import Locator, expect

from tests.playground.person import DISC, SLOW_MS, Person

STEPS = "2"


async def finish(person: Person) -> dict[str, Any]:
    card = await begin(person)
    await person.sees(card, "succeeded")
    return await person.job_of(card)


async def begin(person: Person) -> Locator:
    await person.fill("Steps", STEPS)
    await person.fill("Seed", "7")
    return await person.start()


async def test_remove_uses_the_mask_that_is_shown(person: Person) -> None:
    await person.open_sample()
    mask = await person.click(DISC)
    job = await finish(person)
    assert job["task"] == "remove"
    used = person.server_mask(job["parameters"]["mask"])
    assert (used == person.server_mask(mask)).all()
    assert job["parameters"]["seed"] == 7
    assert job["parameters"]["num_inference_steps"] == int(STEPS)
    assert job["preservation"]["outside_equal"] is True


async def test_a_soft_edge_is_used_as_it_is_shown(person: Person) -> None:
    await person.open_sample()
    await person.click(DISC)
    soft = await person.operate("Feather")
    job = await finish(person)
    assert job["parameters"]["preserve"] == "soft"
    assert (person.server_mask(job["parameters"]["mask"]) == person.server_mask(soft)).all()


@pytest.mark.parametrize(("word", "task"), [("Replace", "inpaint"), ("Edit", "edit")])
async def test_replace_and_edit(person: Person, word: str, task: str) -> None:
    await person.open_sample()
    await person.click(DISC)
    await person.choose_task(word)
    await person.page.get_by_label("In words").fill("a red glass disc")
    job = await finish(person)
    assert (job["task"], job["parameters"]["prompt"]) == (task, "a red glass disc")


async def choose_marked_reference(person: Person) -> None:
    """A red square on white, the brush drawn over its middle."""
    out = io.BytesIO()
    picture = Image.new("RGB", (200, 160), "white")
    picture.paste((200, 20, 20), (60, 40, 140, 120))
    picture.save(out, "PNG")
    file = {"name": "thing.png", "mimeType": "image/png", "buffer": out.getvalue()}
    await person.page.locator("#reference-file").set_input_files(file)
    dialog = person.page.get_by_role("dialog")
    await expect(dialog).to_be_visible(timeout=SLOW_MS)
    await dialog.get_by_role("button", name="Brush").click()
    stage = dialog.locator("#reference-stage")
    await stage.hover()
    await person.page.mouse.down()
    box = await stage.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    await person.page.mouse.move(x + 20, y + 10, steps=3)
    await person.page.mouse.up()
    await expect(person.page.locator("#reference-name")).to_contain_text("marked", timeout=SLOW_MS)
    await dialog.get_by_role("button", name="Done").click()


async def test_insert_with_a_reference_and_its_own_mask_and_again(person: Person) -> None:
    await person.open_sample()
    await person.click(DISC)
    await person.choose_task("Insert")
    await choose_marked_reference(person)
    job = await finish(person)
    assert len(job["parameters"]["references"]) == 1
    assert person.server_mask(job["parameters"]["reference_mask"]).any()

    await person.page.locator("#reference-drop").click()
    await expect(person.page.locator("#reference-chosen")).to_be_hidden()
    await person.page.get_by_role("button", name="Edit again").first.click()
    await expect(person.page.locator("#reference-name")).to_contain_text("marked", timeout=SLOW_MS)
    again = await finish(person)
    for field in ("references", "reference_mask", "seed"):
        assert again["parameters"][field] == job["parameters"][field]
    assert again["output"][0]["sha256"] == job["output"][0]["sha256"]


async def test_generate_needs_no_picture_but_words(person: Person) -> None:
    await person.choose_task("Generate")
    await person.button("Start").click()
    await expect(person.page.get_by_role("alert")).to_have_text("Say in words what you want.")
    await person.page.get_by_label("In words").fill("a lighthouse at dusk")
    job = await finish(person)
    assert job["task"] == "generate"


async def test_white_balance_by_model_and_at_once(person: Person) -> None:
    await person.open_sample()
    await person.choose_task("White balance")
    job = await finish(person)
    assert job["output"][0]["cube_url"]
    await person.button("At once, without a model").click()
    await expect(person.page.get_by_role("dialog")).to_contain_text("Light", timeout=SLOW_MS)


async def test_bounds_defaults_and_demo_come_from_the_models(person: Person) -> None:
    model = person.server.http.get("/v1/models/qwen_image_edit").json()
    steps = person.page.locator("details.advanced").get_by_label("Steps")
    assert await steps.get_attribute("max") == str(
        model["limits"]["num_inference_steps"]["maximum"]
    )
    default = str(model["defaults"]["num_inference_steps"])
    assert await steps.get_attribute("placeholder") == default
    await expect(person.page.locator("#model-note")).to_contain_text("weights are random")


async def test_a_model_that_comes_later_is_taken_up(person: Person) -> None:
    """What was filled in meanwhile stays."""
    answer = person.server.http.get("/v1/models").json()
    for model in answer["data"]:
        model |= {"ready": False, "detail": "It is loading.", "defaults": {}}
    page = person.page
    await page.route("**/v1/models", lambda route: route.fulfill(json=answer))
    await person.visit()
    note = page.locator("#model-note")
    await expect(note).to_have_text(
        "Not ready yet. It is loading. This page goes on as soon as it is."
    )
    await person.fill("Seed", "5")
    await page.unroute("**/v1/models")
    await expect(note).to_contain_text("weights are random", timeout=SLOW_MS)
    fields = page.locator("details.advanced")
    assert await fields.get_by_label("Steps").get_attribute("placeholder") != "auto"
    await expect(fields.get_by_label("Seed")).to_have_value("5")


async def test_a_wrong_number_in_closed_details_is_pointed_at(person: Person) -> None:
    await person.choose_task("Generate")
    await person.page.get_by_label("In words").fill("a boat")
    await person.fill("Steps", "500")
    await person.page.get_by_text("Advanced").click()
    await person.button("Start").click()
    steps = person.page.locator("details.advanced").get_by_label("Steps")
    await expect(steps).to_be_visible()
    await expect(steps).to_be_focused()
    await expect(person.page.locator(".job[data-status=queued]")).to_have_count(0)


async def test_a_missing_model_says_so(person: Person) -> None:
    answer = person.server.http.get("/v1/models").json()
    answer["data"] = [model for model in answer["data"] if "remove" not in model["tasks"]]
    await person.page.route("**/v1/models", lambda route: route.fulfill(json=answer))
    await person.visit()
    await expect(person.page.locator("#model-note")).to_contain_text("no model for it")
