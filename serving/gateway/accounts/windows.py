"""Rate limits by cost, in windows that slide (cost is a part of the last window and this one)."""

import time
from typing import Any

import structlog
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

from serving.gateway.refusals import RateLimited

AWAY = 5.0
"""Seconds for which a Redis that failed is not asked again."""
PATIENCE = 0.25
"""Seconds that Redis may take."""
log = structlog.get_logger()


class Windows:
    """Counts in Redis, where several gateways share them; in memory while it is away."""

    def __init__(self, redis_url: str | None) -> None:
        self._local = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared: SlidingWindowCounterRateLimiter | None = None
        self._away_until = 0.0
        self._pool: ConnectionPool | None = None
        if redis_url is not None:
            times = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
            self._pool = ConnectionPool.from_url(redis_url, **times)
            known: Any = {"implementation": "redispy", "connection_pool": self._pool}
            storage = RedisStorage(f"async+{redis_url}", **known)
            self._shared = SlidingWindowCounterRateLimiter(storage)

    async def take(self, field: str, tenant: str, cost: int, a_minute: int) -> None:
        """RateLimited says when to come back; a cost above the whole limit waits for a free one."""
        item, most = RateLimitItemPerMinute(a_minute), min(cost, a_minute)
        limiter = self._limiter
        try:
            if await limiter.hit(item, field, tenant, cost=most):
                return
            stats = await limiter.get_window_stats(item, field, tenant)
        except RedisError as error:
            log.warning("rate limits are counted here for now", cause=type(error).__name__)
            self._away_until = time.monotonic() + AWAY
            await self._take_here(item, field, tenant, most)
            return
        raise _refused(field, a_minute, stats.reset_time - time.time())

    async def close(self) -> None:
        """Leave Redis."""
        if self._pool is not None:
            await self._pool.disconnect()

    @property
    def _limiter(self) -> SlidingWindowCounterRateLimiter:
        if self._shared is None or time.monotonic() < self._away_until:
            return self._local
        return self._shared

    async def _take_here(self, item: RateLimitItem, field: str, tenant: str, cost: int) -> None:
        if not await self._local.hit(item, field, tenant, cost=cost):
            raise _refused(field, item.amount, 60)


def _refused(field: str, a_minute: int, seconds: float) -> RateLimited:
    return RateLimited(field, f"over {a_minute} a minute", max(1.0, seconds))
