"""A graph behind Triton's dynamic batcher: one pass for a batch, rows back to their requests."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import triton_python_backend_utils as pb_utils

logger = logging.getLogger(__name__)
Run = Callable[[npt.NDArray[Any]], Sequence[npt.NDArray[Any]]]


def answer_batch(requests: Sequence[Any], input_name: str, outputs: Sequence[str], run: Run) -> Any:
    """One response per request.

    Args:
        requests: of one dynamic batch; each has rows of equal shape in `input_name`.
        input_name: the tensor that goes in.
        outputs: names of what `run` returns.
        run: takes all rows, returns the outputs for all rows.
    """
    parts = [pb_utils.get_input_tensor_by_name(r, input_name).as_numpy() for r in requests]
    try:
        rows = parts[0] if len(parts) == 1 else np.concatenate(parts)
        results = run(rows)
    except Exception as error:
        logger.exception("a batch failed")
        failure = pb_utils.TritonError(str(error), pb_utils.TritonError.INTERNAL)
        return [pb_utils.InferenceResponse(error=failure) for _ in requests]
    ends = np.cumsum([len(part) for part in parts])
    return [
        pb_utils.InferenceResponse(
            [
                pb_utils.Tensor(name, np.ascontiguousarray(value[end - len(part) : end]))
                for name, value in zip(outputs, results, strict=True)
            ]
        )
        for part, end in zip(parts, ends, strict=True)
    ]
