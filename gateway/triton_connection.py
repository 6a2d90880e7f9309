"""From the setting to a backend: one Triton, or a pool of several."""

from __future__ import annotations

from gateway.inference import InferenceBackend
from gateway.triton_client import TritonBackend
from gateway.triton_endpoints import TritonEndpoints
from gateway.triton_pool import TritonPool


def connect(url: str, *, segmentation_timeout_s: float, stall_timeout_s: float) -> InferenceBackend:
    """The backend for `RETOUCH_TRITON_URL`; nothing is asked yet.

    Raises:
        ValueError: `url` names no Triton.
    """

    def connect_one(address: str) -> TritonBackend:
        return TritonBackend(
            address,
            segmentation_timeout_s=segmentation_timeout_s,
            stall_timeout_s=stall_timeout_s,
        )

    endpoints = TritonEndpoints.parse(url)
    if endpoints.only is not None:
        return connect_one(endpoints.only)
    return TritonPool(endpoints, connect_one)
