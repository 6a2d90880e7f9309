"""Which tolerance a verification applies; the comparison itself runs on a real Triton."""

from typing import Any

import pytest

from export_scripts.verify import TOLERANCES, coarsest_precision

GRAPH = {"engine": "onnx", "precision": "auto"}


def torch_stage(precision: str) -> dict[str, str]:
    return {"engine": "torch", "precision": precision}


@pytest.mark.parametrize(
    ("settings", "device", "expected"),
    [
        ({}, "cpu", "fp32"),
        ({}, "cuda", "bf16"),
        ({"transformer": torch_stage("auto"), "vae_decoder": GRAPH}, "cpu", "fp32"),
        ({"transformer": torch_stage("auto"), "vae_decoder": GRAPH}, "cuda:0", "bf16"),
        ({"transformer": torch_stage("fp32"), "vae_decoder": torch_stage("fp32")}, "cuda", "fp32"),
        ({"transformer": GRAPH, "vae_decoder": GRAPH}, "cuda", "fp32"),
        ({"transformer": torch_stage("int8"), "vae_decoder": torch_stage("auto")}, "cpu", "int8"),
        ({"transformer": torch_stage("bf16"), "vae_decoder": GRAPH}, "cpu", "bf16"),
    ],
)
def test_the_coarsest_stage_sets_the_tolerance(
    settings: dict[str, Any], device: str, expected: str
) -> None:
    assert coarsest_precision({"settings": settings}, device) == expected


def test_fewer_bits_are_never_held_to_more() -> None:
    in_order = ["fp32", "fp16", "bf16", "int8", "fp8"]
    limits = [TOLERANCES[name] for name in in_order]
    assert limits == sorted(limits)
    assert limits[0] == 1
