"""Limits per key, in requests and in painted pixels; counted by the `limits` library."""

from __future__ import annotations

import time

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import Storage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.storage import storage_from_string

from gateway.errors import RateLimitError
from gateway.keys.api_key import ApiKey
from gateway.keys.key_store import KeyStore
from gateway.keys.limit_storage import DatabaseStorage

FAILED_CHECKS_PER_MINUTE = 30
"""Wrong keys from one address: each costs a hash."""


class RateLimits:
    """Counts in memory, or in a store that several gateways share."""

    def __init__(self, storage: Storage) -> None:
        self._limiter = FixedWindowRateLimiter(storage)

    @classmethod
    def of(cls, name: str, keys: KeyStore) -> RateLimits:
        """By the setting: `database`, which is the keys' own, or an address that `limits` knows."""
        if name == "database":
            return cls(DatabaseStorage(keys.engine))
        return cls(storage_from_string(name))  # type: ignore[arg-type]

    async def count_request(self, key: ApiKey) -> dict[str, str]:
        """Count one request; headers that say what is left.

        Raises:
            RateLimitError: the minute's requests are used up.
        """
        if key.requests_per_minute is None:
            return {}
        limit = RateLimitItemPerMinute(key.requests_per_minute)
        await self._spend(limit, "requests", key.id, 1, "requests")
        left = await self._limiter.get_window_stats(limit, "requests", key.id)
        return {
            "x-ratelimit-limit-requests": str(key.requests_per_minute),
            "x-ratelimit-remaining-requests": str(left.remaining),
            "x-ratelimit-reset-requests": f"{max(0.0, left.reset_time - time.time()):.0f}s",
        }

    async def count_pixels(self, key: ApiKey | None, pixels: int) -> None:
        """Count what a job will paint.

        Raises:
            RateLimitError: the minute's pixels are used up, or the job alone is over them.
        """
        if key is None or key.megapixels_per_minute is None:
            return
        allowed = int(key.megapixels_per_minute * 1e6)
        if pixels > allowed:
            message = f"The job paints {pixels} pixels; the key may paint {allowed} a minute."
            raise RateLimitError(message)
        limit = RateLimitItemPerMinute(allowed)
        await self._spend(limit, "pixels", key.id, pixels, "pixels")

    async def count_failed_check(self, address: str) -> None:
        """Count a wrong key.

        Raises:
            RateLimitError: too many came from there.
        """
        limit = RateLimitItemPerMinute(FAILED_CHECKS_PER_MINUTE)
        await self._spend(limit, "wrong keys", address, 1, "wrong keys")

    async def _spend(
        self, limit: RateLimitItem, kind: str, who: str, cost: int, words: str
    ) -> None:
        # What is refused uses nothing up.
        if await self._limiter.test(limit, kind, who, cost=cost) and await self._limiter.hit(
            limit, kind, who, cost=cost
        ):
            return
        left = await self._limiter.get_window_stats(limit, kind, who)
        seconds = max(1, round(left.reset_time - time.time()))
        message = (
            f"The limit of {limit.amount} {words} a minute is reached; try again in {seconds} s."
        )
        raise RateLimitError(message, retry_after_s=seconds)
