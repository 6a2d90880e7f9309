"""The chart's scalers, and the Prometheus whose figures they ask for."""

import pytest
import yaml

from tests.deploy.helm import CHART, EVERYTHING, Manifest, manifests, of_kind, pods


@pytest.fixture(scope="module")
def whole() -> list[Manifest]:
    return manifests(**EVERYTHING)


def test_scaling_goes_one_by_one_as_its_comment_says(whole: list[Manifest]) -> None:
    for scaler in of_kind(whole, "ScaledObject").values():
        behavior = scaler["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        for direction in ("scaleUp", "scaleDown"):
            policies = behavior[direction]["policies"]
            assert [policy["value"] for policy in policies] == [1]
            assert all(0 < policy["periodSeconds"] <= 1800 for policy in policies), "HPA's limit"


def test_prometheus_in_the_cluster_finds_what_the_chart_names(whole: list[Manifest]) -> None:
    file = CHART.parents[1] / "prometheus" / "kubernetes.yml"
    found: dict[str, set[str]] = {}
    for scrape in yaml.safe_load(file.read_text())["scrape_configs"]:
        kept = [rule for rule in scrape["relabel_configs"] if rule.get("action") == "keep"]
        for name, pod in pods(whole):
            for container in pod["spec"]["containers"]:
                for port in container.get("ports", []):
                    if all(_keeps(rule, pod, container, port) for rule in kept):
                        found.setdefault(scrape["job_name"], set()).add(f"{name}:{port['name']}")
    assert found == {
        "gateway": {"shop-gateway:http"},
        "triton": {"shop-triton-masks:metrics", "shop-triton-pictures:metrics"},
    }


def _keeps(rule: Manifest, pod: Manifest, container: Manifest, port: Manifest) -> bool:
    known = {
        "__meta_kubernetes_pod_label_app_kubernetes_io_name": pod["metadata"]["labels"][
            "app.kubernetes.io/name"
        ],
        "__meta_kubernetes_pod_container_port_name": port["name"],
        "__meta_kubernetes_pod_container_name": container["name"],
    }
    return ";".join(known[label] for label in rule["source_labels"]) == rule["regex"]
