"""`/metrics`: the gateway's own, and those of its embedded Triton."""

from __future__ import annotations

import logging

import httpx
from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from gateway.errors import RetouchError
from gateway.http.dependencies import ServicesDep

router = APIRouter(tags=["health"])
logger = logging.getLogger(__name__)
_TIMEOUT_S = 2.0


@router.get("/metrics", response_class=Response)
async def metrics(services: ServicesDep) -> Response:
    """Prometheus metrics; needs an admin key where keys are needed."""
    try:
        pulse = await services.queue.pulse()
    except RetouchError as error:  # the rest is worth having when the job store is away
        logger.warning("job metrics: %s", error.message)
        pulse = None
    text = services.metrics.text(pulse)
    if services.triton_metrics_url is not None:
        text += await _of_triton(services.triton_metrics_url())
    return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)


async def _of_triton(url: str) -> bytes:
    """Triton's exposition; nothing while it restarts."""
    try:
        async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
            response = await client.get(url)
            return response.raise_for_status().content
    except httpx.HTTPError as error:
        logger.warning("Triton's metrics: %s", type(error).__name__)
        return b""
