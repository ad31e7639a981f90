"""Rate limits by cost, in windows that slide (cost is a part of the last window and this one)."""

import time
from typing import Any

import structlog
from limits import RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

from serving.gateway.accounts.counters import Counters
from serving.gateway.refusals import RateLimited

AWAY = 5.0
"""Seconds for which a Redis that failed is not asked again."""
PATIENCE = 0.25
"""Seconds that Redis may take."""
log = structlog.get_logger()


class Windows:
    """Counts in Redis, where several gateways share them; in memory while it is away."""

    def __init__(self, redis_url: str | None) -> None:
        self._local = Counters()
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
        most = min(cost, a_minute)
        shared = self._shared
        if shared is None or time.monotonic() < self._away_until:
            self._take_here(field, tenant, most, a_minute)
            return
        item = RateLimitItemPerMinute(a_minute)
        try:
            if await shared.hit(item, field, tenant, cost=most):
                return
            stats = await shared.get_window_stats(item, field, tenant)
        except RedisError as error:
            log.warning("rate limits are counted here for now", cause=type(error).__name__)
            self._away_until = time.monotonic() + AWAY
            self._take_here(field, tenant, most, a_minute)
            return
        raise _refused(field, a_minute, stats.reset_time - time.time())

    async def close(self) -> None:
        """Leave Redis."""
        if self._pool is not None:
            await self._pool.disconnect()

    def _take_here(self, field: str, tenant: str, cost: int, a_minute: int) -> None:
        seconds = self._local.take((field, tenant), cost, a_minute)
        if seconds > 0:
            raise _refused(field, a_minute, seconds)


def _refused(field: str, a_minute: int, seconds: float) -> RateLimited:
    return RateLimited(field, f"over {a_minute} a minute", max(1.0, seconds))
