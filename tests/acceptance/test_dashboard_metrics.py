"""Every metric of the dashboard and the alerts is one that the real servers expose."""

import re
import urllib.request
from pathlib import Path

import pytest

from tests.acceptance.served import Served

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
FROM_A_GPU = "nv_gpu_"


def names_in(exposition: str) -> set[str]:
    return set(re.findall(r"^(\w+)", exposition, re.MULTILINE))


def test_dashboard_and_alerts_ask_for_metrics_that_exist(gateway: Served) -> None:
    job = gateway.submit(task="generate", prompt="a metric", num_inference_steps=2)
    assert gateway.finish(job)["status"] == "succeeded"
    with urllib.request.urlopen(gateway.triton["metrics"], timeout=10) as answer:  # noqa: S310
        known = names_in(answer.read().decode())
    own = gateway.http.get("/metrics")
    text = (DEPLOY / "grafana/dashboards/retouch.json").read_text()
    text += (DEPLOY / "prometheus/alerts.yml").read_text()
    asked = set(re.findall(r"\b(?:nv|retouch)_[a-z_]+", text))
    assert len(asked) > 10
    asked = {name for name in asked if not name.startswith(FROM_A_GPU)}
    if own.status_code == 404:
        asked = {name for name in asked if name.startswith(("nv_", "retouch_stage_"))}
    assert asked <= known | names_in(own.text)
    if own.status_code == 404:
        pytest.skip("Triton's metrics are there; this gateway has no /metrics of its own")
