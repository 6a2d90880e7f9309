"""Every metric of Triton's that the dashboard and the alerts ask for is one that Triton exposes."""

import re
import urllib.request
from pathlib import Path

from tests.acceptance.served import Served

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
FROM_A_GPU = "nv_gpu_"


def test_dashboard_and_alerts_ask_for_metrics_that_exist(gateway: Served) -> None:
    job = gateway.submit(task="generate", prompt="a metric", num_inference_steps=2)
    assert gateway.finish(job)["status"] == "succeeded"
    with urllib.request.urlopen(gateway.triton["metrics"], timeout=10) as answer:  # noqa: S310
        known = set(re.findall(r"^(\w+)", answer.read().decode(), re.MULTILINE))
    text = (DEPLOY / "grafana/dashboards/retouch.json").read_text()
    text += (DEPLOY / "prometheus/alerts.yml").read_text()
    asked = set(re.findall(r"\b(?:nv|retouch_stage)_[a-z_]+", text))
    assert len(asked) > 8
    assert {name for name in asked if not name.startswith(FROM_A_GPU)} <= known
