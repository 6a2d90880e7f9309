"""A job database of each kind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.jobs.job_database import JobDatabase


@pytest.fixture
def database(store_url: str) -> Iterator[JobDatabase]:
    database = JobDatabase(store_url)
    database.prepare()
    yield database
    database.close()
