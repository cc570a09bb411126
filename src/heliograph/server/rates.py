"""How often: requests of a user, a key or an address in any 60 seconds.

A window of 60 slots and the one that is just beginning: a request counts for 60 to 61 s, so that
no 60 s ever hold more than allowed, in constant memory. Both implementations count in the same
way; Redis shares it between gateways.

Invariant: a limiter that is out of order never refuses a request: without Redis each gateway
counts for itself, with a warning.
"""

import logging
import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from heliograph.errors import ConfigurationError

if TYPE_CHECKING:
    from redis.asyncio import Redis

LOG = logging.getLogger("heliograph.server")
WINDOW = 60.0  # seconds
SLOTS = 60
MOST_NAMES = 100_000  # remembered at once; a flood of addresses takes no more memory
REDIS_SECONDS = 0.25  # that a request waits for Redis
REDIS_CONNECTIONS = 16
REDIS_REST = 1.0  # seconds without asking after it did not answer
PREFIX = "heliograph:rate:"


class Rates(Protocol):
    """Counts by name; a name is such as "user/ID", "key/ID" or "bad/ADDRESS"."""

    async def take(self, name: str, per_minute: int) -> float:
        """Count one, if there is room; else seconds until there is. 0 means it is counted."""

    async def look(self, name: str, per_minute: int) -> float:
        """As `take`, without counting."""

    async def close(self) -> None: ...


class _Window:
    """What one name has counted: by slot, oldest first, and in all."""

    __slots__ = ("slots", "total")

    def __init__(self) -> None:
        self.slots: deque[list[int]] = deque()  # [slot, count]
        self.total = 0

    def forget(self, first: int) -> None:
        """Drop what was counted before a slot."""
        slots = self.slots
        while slots and slots[0][0] < first:
            self.total -= slots.popleft()[1]

    def count(self, slot: int) -> None:
        slots = self.slots
        if slots and slots[-1][0] >= slot:
            slots[-1][1] += 1
        else:
            slots.append([slot, 1])
        self.total += 1

    def free_after(self, too_many: int) -> int:
        """The slot at whose end so many are forgotten; the last one when there are fewer."""
        for slot, count in self.slots:
            too_many -= count
            if too_many <= 0:
                return slot
        return self.slots[-1][0]


class MemoryRates:
    """Counts of this process alone."""

    def __init__(
        self,
        *,
        window: float = WINDOW,
        most: int = MOST_NAMES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slot = window / SLOTS
        self._most = most
        self._clock = clock
        self._names: OrderedDict[str, _Window] = OrderedDict()  # last used last

    async def take(self, name: str, per_minute: int) -> float:
        """As `Rates.take`."""
        wait = self._wait(name, per_minute)
        if wait == 0.0:
            slot = math.floor(self._clock() / self._slot)
            found = self._names.get(name)
            if found is None:
                found = self._names[name] = _Window()
            found.count(slot)
            self._names.move_to_end(name)
            self._forget(slot)
        return wait

    async def look(self, name: str, per_minute: int) -> float:
        return self._wait(name, per_minute)

    async def close(self) -> None: ...

    def _wait(self, name: str, per_minute: int) -> float:
        now = self._clock()
        first = math.floor(now / self._slot) - SLOTS
        found = self._names.get(name)
        total = 0
        if found is not None:
            found.forget(first)
            total = found.total
        too_many = total - per_minute + 1
        if too_many <= 0:
            return 0.0
        slot = found.free_after(too_many) if found is not None and total else first
        return (slot + SLOTS + 1) * self._slot - now

    def _forget(self, slot: int) -> None:
        """Names that count nothing any more go, the longest unused first; so does what is too
        much, although it counts."""
        while self._names:
            name, found = next(iter(self._names.items()))
            latest = found.slots[-1][0] if found.slots else -1
            if len(self._names) <= self._most and latest >= slot - SLOTS:
                return
            del self._names[name]


# slot length and limit in; microseconds to wait out. The time is that of Redis, one for all.
SCRIPT = """
local now = redis.call('TIME')
local micro = now[1] * 1000000 + now[2]
local length, slots = tonumber(ARGV[1]), tonumber(ARGV[2])
local limit, counts = tonumber(ARGV[3]), ARGV[4] == '1'
local slot = math.floor(micro / length)
local sum, found = 0, {}
local kept = redis.call('HGETALL', KEYS[1])
for i = 1, #kept, 2 do
  local at, count = tonumber(kept[i]), tonumber(kept[i + 1])
  if at < slot - slots then
    redis.call('HDEL', KEYS[1], kept[i])
  else
    sum = sum + count
    found[#found + 1] = {at, count}
  end
end
local many = sum - limit + 1
if many <= 0 then
  if counts then
    redis.call('HINCRBY', KEYS[1], string.format('%d', slot), 1)
    redis.call('PEXPIRE', KEYS[1], math.ceil(length * (slots + 1) / 1000))
  end
  return 0
end
table.sort(found, function(a, b) return a[1] < b[1] end)
local last = slot - slots
for _, pair in ipairs(found) do
  last = pair[1]
  many = many - pair[2]
  if many <= 0 then break end
end
return math.max(1, (last + slots + 1) * length - micro)
"""


class RedisRates:
    """Counts that all gateways of one Redis share.

    Each question is one script, which Redis runs as a whole, so that two gateways never take the
    same room.
    """

    def __init__(self, redis: "Redis", *, window: float = WINDOW, prefix: str = PREFIX) -> None:
        self._redis = redis
        self._slot = round(window / SLOTS * 1_000_000)  # microseconds
        self._prefix = prefix
        self._script: Any = redis.register_script(SCRIPT)
        self._alone = MemoryRates(window=window)
        self._asks_again = 0.0  # monotonic
        self._is_lost = False

    async def take(self, name: str, per_minute: int) -> float:
        wait = await self._ask(name, per_minute, counts=True)
        return await self._alone.take(name, per_minute) if wait is None else wait

    async def look(self, name: str, per_minute: int) -> float:
        wait = await self._ask(name, per_minute, counts=False)
        return await self._alone.look(name, per_minute) if wait is None else wait

    async def close(self) -> None:
        await self._redis.aclose()

    async def _ask(self, name: str, per_minute: int, *, counts: bool) -> float | None:
        from redis.exceptions import RedisError

        if time.monotonic() < self._asks_again:
            return None
        arguments = [self._slot, SLOTS, per_minute, int(counts)]
        try:
            micro = await self._script(keys=[self._prefix + name], args=arguments)
        except (RedisError, OSError, TimeoutError) as error:
            self._asks_again = time.monotonic() + REDIS_REST
            if not self._is_lost:
                LOG.warning(
                    "Redis does not answer (%s): rate limits count for this process alone",
                    type(error).__name__,
                )
            self._is_lost = True
            return None
        if self._is_lost:
            LOG.warning("Redis answers again: rate limits are shared again")
            self._is_lost = False
        return int(micro) / 1_000_000


async def open_rates(address: str | None, *, window: float = WINDOW) -> Rates:
    """Shared counts when there is the address of a Redis, else those of this process.

    A Redis that does not answer now is asked again later.

    Raises:
        ConfigurationError: the address is wrong, or the Redis client is not installed.
    """
    if address is None:
        return MemoryRates(window=window)
    try:
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError as error:
        raise ConfigurationError(
            "Shared rate limits need the Redis client.",
            remedy="Install `heliograph[redis]`, or leave `server_redis` unset.",
        ) from error
    try:
        pool = BlockingConnectionPool.from_url(
            address,
            max_connections=REDIS_CONNECTIONS,
            timeout=REDIS_SECONDS,  # for a free connection
            socket_timeout=REDIS_SECONDS,
            socket_connect_timeout=REDIS_SECONDS,
            retry=Retry(NoBackoff(), 1),  # a connection that Redis closed is opened again
        )
    except ValueError as error:
        raise ConfigurationError(
            "`server_redis` is no address of a Redis.",
            remedy="Write it like `redis://localhost:6379/0`.",
        ) from error
    return RedisRates(Redis.from_pool(pool), window=window)
