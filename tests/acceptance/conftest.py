import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from export_scripts.qwen_models import MODELS
from export_scripts.version_store import VersionStore
from tests.acceptance.served import Served
from tests.random_adapters import TARGETS, save_random_adapters

ADAPTER_ALPHA = 60
"""So strong that the pictures differ by far more than what serving may change."""


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


@pytest.fixture(scope="session")
def adapted(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo repository with adapters beside the weights of both denoisers."""
    copy = tmp_path_factory.mktemp("adapted") / "model_repository"
    shutil.copytree(repository, copy)
    store = VersionStore(copy)
    for name, model in MODELS.items():
        version = store.served(name)[-1]
        stage = dict(store.stages(name, version))[model.transformer]
        weights = store.folder(model.transformer, stage) / "weights"
        save_random_adapters(weights, alpha=ADAPTER_ALPHA)
        manifest = store.folder(name, version) / "pipeline" / "retouch.json"
        said = json.loads(manifest.read_text()) | {"adapters": sorted(TARGETS)}
        manifest.write_text(json.dumps(said))
    return copy


@pytest.fixture(scope="session")
def adapted_gateway(adapted: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway of its own over that repository."""
    served = Served(tmp_path_factory.mktemp("served"), model_repository=adapted)
    try:
        served.wait_ready()
        yield served
    finally:
        served.stop()
