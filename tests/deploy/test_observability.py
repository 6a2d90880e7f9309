"""Prometheus' files and Grafana's dashboard, against each other and the compose file."""

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tests.gateway.conftest import serve

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
PROMETHEUS = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
ALERTS = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


@pytest.fixture(scope="module")
def code() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dashboard", DEPLOY / "grafana" / "dashboard.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_dashboard_is_what_its_code_writes(code: ModuleType) -> None:
    assert code.TARGET.read_text() == code.rendered(), "run python deploy/grafana/dashboard.py"


def test_panels_do_not_overlap_and_ids_differ(code: ModuleType) -> None:
    panels = code.dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_panels_ask_the_provisioned_source(code: ModuleType) -> None:
    sources = yaml.safe_load(
        (DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text()
    )
    assert sources["datasources"][0]["uid"] == code.DATASOURCE["uid"]
    assert sources["datasources"][0]["url"] == "http://prometheus:9090"
    provider = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/retouch.yml").read_text())
    mounted = [volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]]
    assert provider["providers"][0]["options"]["path"] in mounted
    json.loads(code.TARGET.read_text())


def test_prometheus_scrapes_what_compose_runs() -> None:
    names = {
        name
        for scrape in PROMETHEUS["scrape_configs"]
        for config in scrape["dns_sd_configs"]
        for name in config["names"]
    }
    assert names == {"gateway", "triton"}, "a worker has no HTTP"
    assert names <= set(SERVICES)


def test_alerts_are_about_what_is_scraped_and_say_what_to_do() -> None:
    jobs = {scrape["job_name"] for scrape in PROMETHEUS["scrape_configs"]}
    for rule in ALERTS["groups"][0]["rules"]:
        assert set(re.findall(r'job="(\w+)"', rule["expr"])) <= jobs
        page, _, section = rule["annotations"]["what_to_do"].partition(", ")
        headings: list[Any] = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(), re.MULTILINE)
        assert section in headings, f"{page} has no section {section}"


async def test_the_gateways_metrics_that_are_asked_for_exist(tmp_path: Path) -> None:
    async with serve(tmp_path) as gateway:
        await gateway.finish(task="generate", prompt="a metric", num_inference_steps=2)
        exposed = (await gateway.client.get("/metrics")).text
    text = (DEPLOY / "grafana/dashboards/retouch.json").read_text()
    text += (DEPLOY / "prometheus/alerts.yml").read_text()
    text += (DEPLOY / "helm/retouch/values.yaml").read_text()
    asked = set(re.findall(r"\bretouch_(?!stage_)[a-z_]+", text))
    assert len(asked) > 5
    assert asked <= set(re.findall(r"^(\w+)", exposed, re.MULTILINE))


@pytest.mark.parametrize("file", ["prometheus.yml", "kubernetes.yml"])
def test_promtool_accepts_configuration_and_rules(tmp_path: Path, file: str) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    shutil.copytree(DEPLOY / "prometheus", tmp_path, dirs_exist_ok=True)
    # Debian's promtool is built without Kubernetes: how pods are found is not checked here.
    text = re.sub(r"kubernetes_sd_configs: .*", "static_configs: []", (tmp_path / file).read_text())
    (tmp_path / file).write_text(text)
    command = [promtool, "check", "config", "--syntax-only", tmp_path / file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
