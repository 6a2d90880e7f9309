"""The Modal app, imported and inspected; nothing is sent to Modal."""

import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fastapi import FastAPI

from gateway.settings import Settings
from gateway.triton.triton_pool import TritonPool

pytestmark = pytest.mark.filterwarnings("ignore:The gateway function is executing locally")
FILE = Path(__file__).resolve().parents[2] / "deploy" / "modal_app.py"


@pytest.fixture(scope="module")
def modal_app() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("retouch_modal_app", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_the_gateway_is_the_products_app(
    modal_app: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RETOUCH_DATA_DIR", str(tmp_path))
    app = modal_app.gateway.local()
    assert isinstance(app, FastAPI)
    assert "/v1/masks" in app.openapi()["paths"]


def test_the_gateway_finds_the_tritons_that_wrote_down_their_address(
    modal_app: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modal_app, "addresses", {"[fdaa::2]:8001": 2.0, "[fdaa::1]:8001": 1.0})
    seen: list[Any] = []

    def create_app(settings: object, *, backend: TritonPool) -> None:
        seen.append(backend)

    monkeypatch.setattr("gateway.app.create_app", create_app)
    modal_app.gateway.local()
    assert seen[0]._endpoints.resolve() == ("[fdaa::1]:8001", "[fdaa::2]:8001")


def test_one_gpu_class_and_one_gateway_that_both_stay_up(modal_app: ModuleType) -> None:
    triton = modal_app.Triton._get_class_service_function()._spec_
    assert triton.gpus == modal_app.GPU
    assert list(triton.volumes) == ["/models"]
    gateway = modal_app.gateway._spec_
    assert gateway.gpus is None
    assert list(gateway.volumes) == ["/data"]
    assert modal_app.gateway_environment["RETOUCH_HOST"] == "0.0.0.0"  # noqa: S104 - keys needed
    known = {f"RETOUCH_{name.upper()}" for name in Settings.model_fields}
    assert set(modal_app.gateway_environment) <= known
    source = FILE.read_text()
    assert source.count("min_containers=1") == 2
    assert source.count("i6pn=True") == 2


def test_what_runs_in_the_containers_is_in_the_images() -> None:
    source = FILE.read_text()
    dockerfile = (FILE.parent / "triton" / "Dockerfile").read_text()
    assert dockerfile.rstrip().endswith("AS runtime"), "Modal builds the last stage"
    for script in ("serve.sh", "alive.py"):
        assert f"/opt/retouch/{script}" in source
        assert f"deploy/triton/{script}" in dockerfile


@pytest.mark.parametrize("page", ["deploy/modal_app.py", "docs/deploying.md"])
def test_the_repository_is_put_where_triton_looks(page: str) -> None:
    text = (FILE.parents[1] / page).read_text()
    put = re.search(r"modal volume put retouch-models (\S+) (/)", text)
    assert put is not None
    # Modal's command appends the local name to a remote path that ends with a slash.
    assert put[2] + os.path.basename(put[1]) == "/"  # noqa: PTH119 - as Modal does it
