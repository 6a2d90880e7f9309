"""The chart, rendered by Helm: against Kubernetes' and KEDA's schemas, and what it promises."""

import subprocess
from collections.abc import Mapping
from typing import Any

import kubernetes_validate
import pytest
from cloudcoil.models.keda.v1alpha1 import ScaledObject

from gateway.settings import Settings
from gateway.triton.triton_endpoints import TritonEndpoints
from tests.deploy.helm import (
    CHART,
    EVERYTHING,
    VALUES,
    Manifest,
    helm,
    manifests,
    of_kind,
    pods,
    render,
)

KUBERNETES = ("1.29", "1.33", "1.37")
MADE_BY_EXPORTS = {"clip_text", "clip_image", "lama"}
"""Models without a folder in the checkout."""


@pytest.fixture(scope="module")
def whole() -> list[Manifest]:
    return manifests(**EVERYTHING)


@pytest.fixture(scope="module")
def plain() -> list[Manifest]:
    return manifests()


def test_helm_lint() -> None:
    arguments = [f"--set={name}={value}" for name, value in VALUES.items()]
    done = subprocess.run(
        [helm(), "lint", "--strict", CHART, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_accepts_every_object(whole: list[Manifest], version: str) -> None:
    checked = [d for d in whole if not d["apiVersion"].startswith("keda.sh/")]
    assert len(checked) > 15
    for document in checked:
        kubernetes_validate.validate(document, version, strict=True)


def test_the_check_finds_a_wrong_field(plain: list[Manifest]) -> None:
    deployment = of_kind(plain, "Deployment")["shop-gateway"]
    deployment = deployment | {"spec": deployment["spec"] | {"replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, KUBERNETES[-1], strict=True)


def test_keda_accepts_every_scaler(whole: list[Manifest]) -> None:
    scalers = of_kind(whole, "ScaledObject")
    assert set(scalers) == {"shop-worker", "shop-triton-masks", "shop-triton-pictures"}
    for scaler in scalers.values():
        understood = ScaledObject.model_validate(scaler).model_dump(
            by_alias=True, exclude_unset=True, mode="json"
        )
        assert _kept(scaler["spec"], understood["spec"]), "a field KEDA does not know"


def _kept(given: Any, understood: Any) -> bool:
    if isinstance(given, Mapping):
        return all(key in understood and _kept(given[key], understood[key]) for key in given)
    if isinstance(given, list):
        return all(_kept(*pair) for pair in zip(given, understood, strict=True))
    return bool(given == understood)


def test_scalers_scale_what_is_there_and_replicas_are_theirs_alone(whole: list[Manifest]) -> None:
    for scaler in of_kind(whole, "ScaledObject").values():
        target = scaler["spec"]["scaleTargetRef"]
        workload = of_kind(whole, target["kind"])[target["name"]]
        assert "replicas" not in workload["spec"]
    worker = of_kind(whole, "ScaledObject")["shop-worker"]["spec"]
    assert "oldest_pending" in worker["triggers"][0]["metadata"]["query"]
    pictures = of_kind(whole, "ScaledObject")["shop-triton-pictures"]["spec"]
    assert "oldest_pending" in pictures["triggers"][1]["metadata"]["query"]
    masks = of_kind(whole, "ScaledObject")["shop-triton-masks"]["spec"]
    assert "nv_inference_pending_request_count" in masks["triggers"][0]["metadata"]["query"]


def test_every_setting_it_names_exists(whole: list[Manifest]) -> None:
    known = {f"RETOUCH_{name.upper()}" for name in Settings.model_fields}
    named = {
        entry["name"]
        for _, pod in pods(whole)
        for container in pod["spec"]["containers"]
        for entry in container.get("env", [])
        if entry["name"].startswith("RETOUCH_")
    }
    secret = of_kind(whole, "Secret")["shop-secrets"]["stringData"]
    named |= {name for name in secret if name.startswith("RETOUCH_")}
    assert named <= known, f"no such settings: {named - known}"


def test_the_gateway_finds_every_group_by_its_headless_service(plain: list[Manifest]) -> None:
    gateway = of_kind(plain, "Deployment")["shop-gateway"]["spec"]["template"]["spec"]
    environment = {e["name"]: e.get("value") for e in gateway["containers"][0]["env"]}
    endpoints = TritonEndpoints.parse(environment["RETOUCH_TRITON_URL"])
    services = of_kind(plain, "Service")
    assert endpoints.names == (
        ("shop-triton-masks.pictures.svc", 8001),
        ("shop-triton-pictures.pictures.svc", 8001),
    )
    for name, port in endpoints.names:
        service = services[name.split(".")[0]]["spec"]
        assert service["clusterIP"] == "None"
        assert port in [entry["port"] for entry in service["ports"]]


def test_every_model_is_served_by_one_group(plain: list[Manifest]) -> None:
    served = [
        model
        for name, pod in pods(plain)
        if "triton" in name
        for entry in pod["spec"]["containers"][0]["env"]
        if entry["name"] == "TRITON_MODELS"
        for model in entry["value"].split()
    ]
    folders = (CHART.parents[2] / "model_repository").glob("*/config.pbtxt")
    assert len(set(served)) == len(served)
    assert set(served) - MADE_BY_EXPORTS == {folder.parent.name for folder in folders}


def test_workers_keep_their_names(plain: list[Manifest]) -> None:
    worker = of_kind(plain, "StatefulSet")["shop-worker"]["spec"]
    container = worker["template"]["spec"]["containers"][0]
    identity = next(e for e in container["env"] if e["name"] == "RETOUCH_WORKER_ID")
    assert identity["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert worker["serviceName"] in of_kind(plain, "Service")
    drain = next(e["value"] for e in container["env"] if e["name"] == "RETOUCH_DRAIN_S")
    assert worker["template"]["spec"]["terminationGracePeriodSeconds"] > int(drain)


def test_selectors_find_their_pods_and_budgets_too(plain: list[Manifest]) -> None:
    labels = [pod["metadata"]["labels"] for _, pod in pods(plain)]
    selectors = [s["spec"]["selector"] for s in of_kind(plain, "Service").values()]
    budgets = of_kind(plain, "PodDisruptionBudget").values()
    selectors += [budget["spec"]["selector"]["matchLabels"] for budget in budgets]
    assert len(selectors) == 8
    for selector in selectors:
        assert sum(selector.items() <= pod.items() for pod in labels) == 1, selector


def test_probes_mean_what_they_say(plain: list[Manifest]) -> None:
    gateway = of_kind(plain, "Deployment")["shop-gateway"]["spec"]["template"]["spec"]
    probes = gateway["containers"][0]
    assert probes["startupProbe"]["httpGet"]["path"] == "/health/ready"
    assert probes["livenessProbe"]["httpGet"]["path"] == "/health/live"
    triton = of_kind(plain, "Deployment")["shop-triton-pictures"]["spec"]["template"]["spec"]
    probes = triton["containers"][0]
    assert probes["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"
    assert probes["livenessProbe"]["exec"]["command"][-1] == "/opt/retouch/alive.py"
    assert triton["terminationGracePeriodSeconds"] > 120


def test_pods_run_unprivileged_on_a_read_only_root(whole: list[Manifest]) -> None:
    for name, pod in pods(whole):
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True, name
        assert pod["spec"]["automountServiceAccountToken"] is False, name
        for container in pod["spec"]["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert "memory" in container["resources"]["limits"], name


def test_nothing_goes_in_or_out_but_what_is_named(plain: list[Manifest]) -> None:
    policies = of_kind(plain, "NetworkPolicy")
    deny = policies["shop-default-deny"]["spec"]
    assert sorted(deny["policyTypes"]) == ["Egress", "Ingress"]
    assert "ingress" not in deny
    assert "egress" not in deny
    triton = policies["shop-triton"]["spec"]
    assert "egress" not in triton
    ports = [port["port"] for rule in triton["ingress"] for port in rule["ports"]]
    assert ports == [8001, 8002]
    for _, pod in pods(plain):
        matching = [
            policy
            for policy in policies.values()
            if policy["spec"]["podSelector"]["matchLabels"].items()
            <= pod["metadata"]["labels"].items()
        ]
        assert len(matching) == 2, "the default and its own"


def test_weights_are_read_only_for_those_that_serve(whole: list[Manifest]) -> None:
    for name, pod in pods(whole):
        for volume in pod["spec"]["volumes"]:
            claim = volume.get("persistentVolumeClaim")
            if claim:
                assert claim["claimName"] == "shop-models"
                assert claim.get("readOnly", False) is ("triton" in name)


def test_secrets_are_demanded_or_yours() -> None:
    with pytest.raises(ValueError, match=r"secrets\.databaseUrl"):
        render(secrets__databaseUrl="")
    yours = manifests(secrets__existing="my-secret")
    assert not of_kind(yours, "Secret")
    gateway = of_kind(yours, "Deployment")["shop-gateway"]["spec"]["template"]["spec"]
    assert gateway["containers"][0]["envFrom"] == [{"secretRef": {"name": "my-secret"}}]


@pytest.mark.parametrize(
    ("name", "value"),
    [("gateway.replica", "3"), ("store.url", "http://bucket"), ("autoscaling.enabled", "maybe")],
)
def test_values_that_mean_nothing_are_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name.rpartition(".")[2]):
        render(**{name.replace(".", "__"): value})


def test_no_service_of_the_namespace_can_set_a_setting(whole: list[Manifest]) -> None:
    for name, pod in pods(whole):
        assert pod["spec"]["enableServiceLinks"] is False, f"{name}: RETOUCH_PORT=tcp://..."


def test_a_changed_secret_brings_new_pods() -> None:
    marks = {}
    for url in ("postgresql://one/retouch", "postgresql://two/retouch"):
        for name, pod in pods(manifests(secrets__databaseUrl=url)):
            if "triton" not in name:
                marks.setdefault(name, set()).add(pod["metadata"]["annotations"]["checksum/secret"])
    assert {name: len(seen) for name, seen in marks.items()} == {
        "shop-gateway": 2,
        "shop-worker": 2,
    }


def test_further_ways_out_are_for_gateways_and_workers_alone() -> None:
    rule = "networkPolicy__extraEgress[0]__ports[0]__port"
    policies = of_kind(manifests(**{rule: "4318"}), "NetworkPolicy")
    opened = {
        name
        for name, policy in policies.items()
        for rules in policy["spec"].get("egress", [])
        if {"port": 4318} in rules.get("ports", [])
    }
    assert opened == {"shop-gateway", "shop-worker"}


def test_names_are_resolved_by_the_cluster_or_its_nodes_cache(plain: list[Manifest]) -> None:
    for part in ("gateway", "worker"):
        rules = of_kind(plain, "NetworkPolicy")[f"shop-{part}"]["spec"]["egress"]
        dns = next(rule for rule in rules if rule["ports"][0]["port"] == 53)
        assert {"namespaceSelector": {}} in dns["to"]
        assert {"ipBlock": {"cidr": "169.254.20.10/32"}} in dns["to"]
