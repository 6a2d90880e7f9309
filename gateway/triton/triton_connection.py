"""From the setting to a backend: one Triton, or a pool of several."""

from __future__ import annotations

from functools import partial

from gateway.inference import InferenceBackend
from gateway.triton.triton_client import TritonBackend
from gateway.triton.triton_endpoints import TritonEndpoints
from gateway.triton.triton_pool import TritonPool


def connect(
    url: str, *, segmentation_timeout_s: float, stall_timeout_s: float, shared_slots: int = 0
) -> InferenceBackend:
    """The backend for `RETOUCH_TRITON_URL`; nothing is asked yet.

    `shared_slots`: frames at once that go through shared memory to one Triton on this host.

    Raises:
        ValueError: `url` names no Triton.
    """
    endpoints = TritonEndpoints.parse(url)
    limits = {"segmentation_timeout_s": segmentation_timeout_s, "stall_timeout_s": stall_timeout_s}
    if endpoints.only is not None:
        return TritonBackend(endpoints.only, shared_slots=shared_slots, **limits)
    return connect_pool(endpoints, **limits)


def connect_pool(
    endpoints: TritonEndpoints, *, segmentation_timeout_s: float, stall_timeout_s: float
) -> TritonPool:
    """A pool over whatever `endpoints.resolve` finds, now and later."""
    return TritonPool(
        endpoints,
        partial(
            TritonBackend,
            segmentation_timeout_s=segmentation_timeout_s,
            stall_timeout_s=stall_timeout_s,
        ),
    )
