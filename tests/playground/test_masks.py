"""Masks by hand and by prompt; what is shown is what the server has."""

from __future__ import annotations

import numpy as np
from playwright.async_api import Page, expect

from tests.playground.person import DISC, OTHER, SLOW_MS, Person


async def agrees(person: Person, mask_id: str) -> np.ndarray:
    """The overlay's opacity follows the levels that a job with this mask would use."""
    levels, shown = person.server_mask(mask_id), await person.overlay()
    inside = levels >= 128
    assert ((shown > 0) == (levels > 1)).mean() == 1
    assert shown[inside].min() >= 0.5 * 128
    assert np.abs(shown[~inside] - 0.58 * levels[~inside]).max(initial=0) <= 1.5
    return levels


async def test_plus_and_minus_points(person: Person) -> None:
    await person.open_sample()
    levels = await agrees(person, await person.click(DISC))
    assert levels[DISC[1], DISC[0]] == 255
    await person.page.mouse.click(*await person.place_of((60, 60)), button="right")
    await expect(person.page.locator("#stage.busy")).to_have_count(0, timeout=SLOW_MS)
    labels = await person.page.evaluate("Konva.stages[0].findOne('.points').children.length")
    assert labels == 2


async def test_hovering_shows_what_a_click_would_take(person: Person, page: Page) -> None:
    await person.open_sample()
    await page.mouse.move(*await person.place_of(DISC))
    await person.sees_drawn("click-preview")
    assert await person.mask_id() == ""


async def test_a_reload_keeps_the_picture_and_its_mask(person: Person, page: Page) -> None:
    await person.open_sample()
    await person.click(DISC)
    before = person.server_mask(await person.operate("Feather"))
    await page.reload()
    await person.sees_picture("scene.png, 512 x 512")
    after = await agrees(person, await person.sees_other_mask(""))
    assert (after == before).all()
    await expect(page.locator("#mask-note")).to_contain_text("% of the picture")


async def test_a_further_thing_joins_the_mask(person: Person) -> None:
    await person.open_sample()
    await person.click(DISC)
    await person.button("New thing").click()
    levels = await agrees(person, await person.click(OTHER))
    assert levels[DISC[1], DISC[0]] == levels[OTHER[1], OTHER[0]] == 255


async def test_box(person: Person) -> None:
    await person.open_sample()
    await person.button("Box").click()
    await person.drag((230, 320), (490, 505))
    levels = await agrees(person, await person.sees_other_mask(""))
    assert levels[DISC[1], DISC[0]] == 255


async def test_brush_eraser_undo_and_redo(person: Person, page: Page) -> None:
    await person.open_sample()
    await person.button("Brush").click()
    await page.get_by_label("Brush size in pixels").fill("40")
    await person.drag((100, 100), (200, 100))
    painted = await person.sees_other_mask("")
    levels = await agrees(person, painted)
    assert levels[100, 150] == levels[85, 150] == 255
    assert levels[125, 150] == 0
    area = int((levels > 0).sum())
    assert abs(area - (100 * 40 + np.pi * 20**2)) < 0.03 * area
    await person.button("Eraser").click()
    await person.drag((150, 60), (150, 140))
    rubbed = await person.sees_other_mask(painted)
    assert (await agrees(person, rubbed))[100, 150] == 0
    await page.keyboard.press("Control+z")
    assert await person.sees_other_mask(rubbed) == painted
    await agrees(person, painted)
    await page.keyboard.press("Control+Shift+z")
    assert await person.sees_other_mask(painted) == rubbed


async def test_a_stroke_over_the_edge_of_the_picture(person: Person) -> None:
    await person.open_sample()
    await person.button("Brush").click()
    await person.drag((500, 500), (508, 508))
    levels = await agrees(person, await person.sees_other_mask(""))
    assert levels[511, 511] == 255
    assert levels[0, 0] == levels[511, 400] == 0


async def test_everything_lights_up_and_is_taken(person: Person, page: Page) -> None:
    await person.open_sample()
    await person.button("All").click()
    await expect(page.get_by_role("status")).to_contain_text("things found", timeout=SLOW_MS)
    await page.mouse.move(*await person.place_of(DISC))
    await person.sees_drawn("thing-under-pointer")
    levels = await agrees(person, await person.click(DISC))
    assert levels[DISC[1], DISC[0]] == 255
    both = await agrees(person, await person.click(OTHER))
    assert both[DISC[1], DISC[0]] == both[OTHER[1], OTHER[0]] == 255
    one = await agrees(person, await person.click(DISC))
    assert one[DISC[1], DISC[0]] == 0


async def test_grow_shrink_invert_and_feather(person: Person) -> None:
    await person.open_sample()
    area = int((await agrees(person, await person.click(DISC)) > 0).sum())
    grown = await agrees(person, await person.operate("Grow"))
    assert int((grown > 0).sum()) > area
    shrunk = await agrees(person, await person.operate("Shrink"))
    assert int((shrunk > 0).sum()) < int((grown > 0).sum())
    inverted = await agrees(person, await person.operate("Invert"))
    assert (inverted == 255 - shrunk).all()
    soft = await agrees(person, await person.operate("Feather"))
    assert len(np.unique(soft)) > 5
    await person.operate("Clear")
    assert await person.mask_id() == ""
