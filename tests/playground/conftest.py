"""A real server with the demo models, and a headless Chromium in front of it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright

from tests.acceptance.served import Served
from tests.playground.person import Person

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
WIDE = {"width": 1360, "height": 850}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for the server, which on a busy machine takes minutes to start."""
    for item in items:
        if Path(__file__).parent in item.path.parents and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One gateway and one Triton for all tests of the playground; two jobs of a model at once."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    served = Served(tmp_path_factory.mktemp("playground"), jobs_per_model=2, preview_every=1)
    try:
        served.wait_ready()
        yield served
    finally:
        served.stop()


@pytest.fixture
def server(shared_server: Served) -> Served:
    """The shared server, ready."""
    shared_server.wait_ready()
    return shared_server


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        await browser.close()


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A fresh tab; a script that fails, or anything that the policy blocks, fails the test."""
    context = await browser.new_context(viewport=WIDE, accept_downloads=True)
    context.set_default_timeout(15_000)
    page = await context.new_page()
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.on(
        "console",
        lambda said: failures.append(said.text) if "Content Security Policy" in said.text else None,
    )
    yield page
    await context.close()
    assert not failures


@pytest.fixture
async def person(page: Page, server: Served) -> Person:
    """Someone who has just opened the playground."""
    person = Person(page, server)
    await person.visit()
    return person
