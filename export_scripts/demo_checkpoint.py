"""The committed demo segmenter as a torch network: its graph holds every weight by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import torch

from export_scripts.demo_segmenter import build_network

_PREFIX = "network."


def network_of(graph: Path) -> Any:
    """The fused network in evaluation mode, with a served graph's weights.

    Raises:
        RuntimeError: the graph is not of the demo's architecture.
    """
    network: Any = build_network().fuse().eval()
    content = onnx.load(graph).graph
    values = {entry.name: onnx.numpy_helper.to_array(entry) for entry in content.initializer}
    # Of equal weights the graph keeps one; the others are its identities.
    same = {node.output[0]: node.input[0] for node in content.node if node.op_type == "Identity"}
    values |= {name: values[other] for name, other in same.items() if other in values}
    weights = {
        name.removeprefix(_PREFIX): torch.from_numpy(value.copy())
        for name, value in values.items()
        if name.startswith(_PREFIX)
    }
    missing, unexpected = network.load_state_dict(weights, strict=False)
    if unexpected or any("dfl" not in name for name in missing):
        raise RuntimeError(f"{graph} lacks {missing} or has {unexpected}")
    return network
