from collections.abc import Iterator

import pytest

from tests.served_logs import WATCHED


@pytest.fixture(scope="session", autouse=True)
def no_secret_in_any_served_log() -> Iterator[None]:
    """In the end: what served processes logged has no key, prompt, picture or secret in it."""
    yield
    leaks = WATCHED.leaks()
    assert not leaks, "\n".join(leaks[:20])
