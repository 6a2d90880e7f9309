"""A torch module as an ONNX graph, compared with torch at several shapes."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from export_scripts.export_errors import ExportError

TOLERANCE = 1e-4
"""Largest difference to torch that is accepted, as a share of the largest value, at least 1."""
ONE_FILE_MAX_BYTES = 2**31 - 2**24
"""Above this the weights lie beside the graph in `NAME.data`: protobuf ends at 2 GiB."""
OPSET = 20

Inputs = Mapping[str, torch.Tensor]
"""Tensors by the graph's names for them, in the order of the module's arguments."""
DynamicAxes = Mapping[str, tuple[int, ...]]
"""Axes by input that may have another length when the graph runs."""


def write_graph(
    module: torch.nn.Module,
    inputs: Inputs,
    target: Path,
    *,
    output: str,
    axes: DynamicAxes,
    one_file_max_bytes: int = ONE_FILE_MAX_BYTES,
) -> None:
    """Trace a module and write it as a checked ONNX file.

    Args:
        module: returns one tensor.
        inputs: an example; no dynamic axis may be 1 long.
        target: `.onnx` file.
        output: the graph's name for the result.
        axes: what must not be frozen at the example's lengths.
        one_file_max_bytes: weights of more bytes go to `NAME.onnx.data` beside the graph.

    Raises:
        ExportError: the module cannot be traced.
    """
    dynamic = torch.export.Dim.DYNAMIC
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program: Any = torch.onnx.export(
                module,
                tuple(inputs.values()),
                dynamo=True,
                opset_version=OPSET,
                input_names=list(inputs),
                output_names=[output],
                dynamic_shapes=tuple({axis: dynamic for axis in axes[name]} for name in inputs),
                verbose=False,
            )
    except Exception as error:
        raise ExportError(f"{target.name} cannot be made of the torch network: {error}") from error
    size = sum(tensor.nbytes for tensor in module.state_dict().values())
    program.save(str(target), external_data=size > one_file_max_bytes)
    onnx.checker.check_model(str(target))


def compare_graph(graph: Path, cases: Iterable[tuple[Inputs, torch.Tensor]]) -> float:
    """Run the graph on inputs whose right answer is known.

    Returns:
        The largest difference of any value.

    Raises:
        ExportError: the graph differs by more than `TOLERANCE`, or refuses an input.
    """
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    return max(_difference(session, graph.name, *case) for case in cases)


def _difference(session: Any, name: str, inputs: Inputs, right: torch.Tensor) -> float:
    shapes = {key: tuple(value.shape) for key, value in inputs.items()}
    try:
        (answer,) = session.run(None, {key: value.numpy() for key, value in inputs.items()})
    except Exception as error:
        raise ExportError(f"{name} does not run at the shapes {shapes}: {error}") from error
    expected = right.numpy()
    if answer.shape != expected.shape:
        raise ExportError(f"{name} answers {answer.shape}, torch {expected.shape}, for {shapes}")
    difference = float(np.abs(answer - expected).max())
    limit = TOLERANCE * max(1.0, float(np.abs(expected).max()))
    if not difference <= limit:
        raise ExportError(f"{name} differs from torch by {difference:.1e}, over {limit:.1e}")
    return difference
