from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.served import Served


@pytest.fixture(scope="session")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One gateway and one Triton for the whole run."""
    gateway = Served(tmp_path_factory.mktemp("served"), canary_interval_s=0.5)
    try:
        gateway.wait_ready()
        yield gateway
    finally:
        gateway.stop()


@pytest.fixture
def gateway(shared_gateway: Served) -> Served:
    """The shared gateway, well again after whatever the test before did to it."""
    shared_gateway.wait_ready()
    return shared_gateway


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).resolve().parents[2] / "model_repository"
