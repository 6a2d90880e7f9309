"""The bounds of a job's numbers, read from the schema that checks them."""

from __future__ import annotations

from functools import cache
from typing import Any

from gateway.wire.schemas import JobRequest

_SHOWN = (
    "prompt",
    "reference",
    "num_inference_steps",
    "true_cfg_scale",
    "strength",
    "n",
    "feather",
    "prefill_grow",
)
_BOUNDS = {
    "minimum": "minimum",
    "exclusiveMinimum": "exclusive_minimum",
    "maximum": "maximum",
    "maxLength": "max_length",
    "maxItems": "max_items",
}


@cache
def job_limits() -> dict[str, dict[str, Any]]:
    """Bounds by field; what a schema does not bound is left out.

    >>> job_limits()["n"]
    {'minimum': 1, 'maximum': 4}
    """
    properties = JobRequest.model_json_schema()["properties"]
    return {name: _bounds(properties[name]) for name in _SHOWN}


def _bounds(schema: dict[str, Any]) -> dict[str, Any]:
    """Of the member that is not null, where a field may be left out."""
    kinds = schema.get("anyOf", [schema])
    return {name: kind[word] for kind in kinds for word, name in _BOUNDS.items() if word in kind}
