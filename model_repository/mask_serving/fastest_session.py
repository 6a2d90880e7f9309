"""An ONNX graph in the fastest engine at hand: ONNX Runtime, with OpenVINO where that wins."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

logger = logging.getLogger(__name__)
Arrays = Mapping[str, npt.NDArray[Any]]
Outputs = Sequence[npt.NDArray[Any]]
Agree = Callable[[Outputs, Outputs], bool]
OPENVINO = "OpenVINOExecutionProvider"
_ROUNDS = 5
MAX_DIFFERENCE = 0.02
"""Largest difference of a value that another engine may make, as a share of the largest one."""


def open_fastest(
    graph: Path,
    args: Mapping[str, str],
    example: Arrays,
    *,
    agree: Agree | None = None,
    passes: int = 1,
) -> Any:
    """A session of the graph on the device that Triton gave the instance.

    On a CPU OpenVINO is tried where it is installed: it is taken when it is faster on the example
    and answers the same.

    Args:
        graph: `.onnx` file.
        args: as Triton hands them to `initialize`.
        example: inputs by name, as large as they usually are.
        agree: whether the answers of two engines are the same; by default, value by value.
        passes: how many of them the model makes at once on a CPU, with a share of it each.
    """
    if args["model_instance_kind"] == "GPU":
        device = {"device_id": int(args["model_instance_device_id"])}
        return _open(graph, [("CUDAExecutionProvider", device), "CPUExecutionProvider"])
    threads = threads_each(passes)
    usual = _open(graph, ["CPUExecutionProvider"], threads)
    if OPENVINO not in onnxruntime.get_available_providers():
        return usual
    try:
        processor = {"device_type": "CPU"} | ({"num_of_threads": str(threads)} if threads else {})
        other = _open(graph, [(OPENVINO, processor), "CPUExecutionProvider"], threads)
        return faster_if_equal(usual, other, example, agree)
    except Exception:
        logger.exception("OpenVINO cannot run %s; ONNX Runtime's own engine does", graph)
        return usual


def faster_if_equal(usual: Any, other: Any, example: Arrays, agree: Agree | None = None) -> Any:
    """The other session if it is faster on the example and answers the same, else the usual one."""
    if not (agree or _agree)(usual.run(None, example), other.run(None, example)):
        logger.warning("OpenVINO answers otherwise; ONNX Runtime's own engine is used")
        return usual
    seconds = [_fastest_round(session, example) for session in (usual, other)]
    logger.info("ONNX Runtime %.1f ms, OpenVINO %.1f ms", *(1000 * s for s in seconds))
    return other if seconds[1] < seconds[0] else usual


def threads_each(passes: int) -> int:
    """Threads of each of so many passes at once; 0, the engine's own choice, for an only one.

    Threads of one pass wait for each other, busily: two passes at once, each in a thread of its
    own, were done in 0.6 of the time that two threads took for both, with 0.65 of the processor.
    """
    return max(1, len(os.sched_getaffinity(0)) // passes) if passes > 1 else 0


def _open(graph: Path, providers: Sequence[Any], threads: int = 0) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Denormals of an untrained or pruned net make convolutions several times slower.
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    # Threads wait busily for each other in a pass, but not for the next one, some 25 ms each time.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(str(graph), options, providers=list(providers))


def _agree(left: Outputs, right: Outputs) -> bool:
    return all(
        a.shape == b.shape
        and np.abs(a.astype(np.float64) - b).max() <= MAX_DIFFERENCE * max(1.0, np.abs(a).max())
        for a, b in zip(left, right, strict=True)
    )


def _fastest_round(session: Any, example: Arrays) -> float:
    durations = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        session.run(None, example)
        durations.append(time.perf_counter() - started)
    return min(durations)
