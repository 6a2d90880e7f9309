import asyncio
from collections.abc import Callable, Iterator

import pytest

from gateway.process.event_loop import new_event_loop
from tests.served_logs import WATCHED


@pytest.fixture(scope="session", autouse=True)
def no_secret_in_any_served_log() -> Iterator[None]:
    """In the end: what served processes logged has no key, prompt, picture or secret in it."""
    yield
    leaks = WATCHED.leaks()
    assert not leaks, "\n".join(leaks[:20])


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests run on the loop that the gateway runs on."""
    return {"served": new_event_loop}
