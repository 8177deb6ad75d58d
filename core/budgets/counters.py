"""What was spent and what is reserved, by budget and rate limit, in Redis or Valkey: one answer for all processes.

Amounts are whole numbers: requests, tokens, or dollars of 10⁻⁹, rounded up. A budget's counter that is not there (a new budget,
a server that lost its memory) is made from the ledger; a rate limit's begins at nothing. A reservation that nobody settles is
let go after its time.

A budget's counter is compared with the ledger now and then, since a process that dies and a server that is away settle nothing.
What was spent before `until` is the ledger's to say, what comes later is settled: so nothing is counted twice, however late it
is settled and however many compare. What was settled since is also kept by the time it was spent at (`:fine`, in ticks).
What is counted is never taken back by a comparison: the ledger may have a row later than the counter.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, NamedTuple

from core.budgets.windows import Buckets
from core.redis_batches import ScriptBatches

PREFIX: Final = "genai:budget"

#: What a counter has, by field: `known`, `until` and `again`, how far it was compared; what is spent, by bucket; `sum`, of the
#: buckets from `since` on, where the window rolls; `held`, what is reserved, and `first`, before which no reservation is over;
#: `till`, when it expires.
#: Shared by the scripts: let go what nobody settled in time; sum what counts, and drop what no longer does.
_COMMON = """
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function let_go(key, now)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', key .. ':held', '-inf', now, 'LIMIT', 0, 1000)) do
    redis.call('ZREM', key .. ':held', member)
    redis.call('HINCRBY', key, 'held', -string.match(member, ' (%d+)$'))
  end
  local first = redis.call('ZRANGE', key .. ':held', 0, 0, 'WITHSCORES')[2]
  if first then redis.call('HSET', key, 'first', first) else redis.call('HDEL', key, 'first') end
end
local function spent(key, newest, oldest, step, sum, since)
  if newest == oldest then return redis.call('HGET', key, newest) or 0 end
  if not since then
    sum = 0
    local all = redis.call('HGETALL', key)
    for at = 1, #all, 2 do
      local bucket = tonumber(all[at])
      if bucket and bucket < oldest then redis.call('HDEL', key, all[at]) end
      if bucket and bucket >= oldest then sum = sum + all[at + 1] end
    end
    redis.call('HSET', key, 'sum', string.format('%.0f', sum), 'since', oldest)
  elseif tonumber(since) < oldest then
    for bucket = since, oldest - step, step do
      local gone = tonumber(redis.call('HGET', key, bucket) or 0)
      if gone > 0 then
        redis.call('HDEL', key, bucket)
        sum = redis.call('HINCRBY', key, 'sum', -gone)
      end
    end
    redis.call('HSET', key, 'since', oldest)
  end
  return sum
end
local function room_in(key, now, newest, oldest, step, wanted)
  for bucket = oldest, newest, step do
    wanted = wanted - (redis.call('HGET', key, bucket) or 0)
    if wanted <= 0 then return bucket + newest - oldest + step - math.floor(now / 1000) end
  end
  return -1
end
"""
# KEYS: budgets. ARGV: hold, hold_ms, then for each budget: newest, oldest, step, kept_ms, limit (-1: none) and kind (0: known
# from the ledger, 1: begins at nothing, 2: and is spent at once) in one; amount
# → {-1, i}: the i-th is not known; {i, used, wait_s}: the i-th has no room, and may after so many seconds (-1: nobody knows);
# {0, used, used, …}: reserved
# What is asked in vain is left out, since every request pays for it: who is over while nobody can be, how long a counter is
# kept while it is for long enough. Reservations never outlive their counter.
_RESERVE = (
    _COMMON
    + """
local now, used, have = clock(), {0}, {}
for i, key in ipairs(KEYS) do
  local amount = ARGV[2 + 2 * i]
  local place = {string.match(ARGV[1 + 2 * i], '(%d+) (%d+) (%d+) (%d+) (%-?%d+) (%d)')}
  local newest, oldest, step = tonumber(place[1]), tonumber(place[2]), tonumber(place[3])
  local kept_ms, limit = tonumber(place[4]), tonumber(place[5])
  local has = redis.call('HMGET', key, 'known', 'first', 'held', 'till', 'sum', 'since')
  if not has[1] then
    if place[6] == '0' then return {-1, i} end
    redis.call('HSET', key, 'known', 1)
  end
  if has[2] and tonumber(has[2]) <= now then
    let_go(key, now)
    has[2], has[3] = unpack(redis.call('HMGET', key, 'first', 'held'))
  end
  if not has[4] or has[4] - now < kept_ms then
    has[4], has[7] = now + 2 * kept_ms, true
    redis.call('HSET', key, 'till', has[4])
    redis.call('PEXPIREAT', key, has[4])
  end
  local sum = spent(key, newest, oldest, step, has[5], has[6]) + (has[3] or 0)
  if limit >= 0 and sum + amount > limit then
    return {i, sum, room_in(key, now, newest, oldest, step, sum + amount - limit)}
  end
  used[i + 1], have[i], has[8] = sum, has, place
end
for i, key in ipairs(KEYS) do
  local amount, has = ARGV[2 + 2 * i], have[i]
  local place = has[8]
  if place[6] == '2' then
    redis.call('HINCRBY', key, place[1], amount)
    if place[1] ~= place[2] then redis.call('HINCRBY', key, 'sum', amount) end
  else
    local over = now + ARGV[2]
    redis.call('ZADD', key .. ':held', over, ARGV[1] .. ' ' .. amount)
    redis.call('HINCRBY', key, 'held', amount)
    if not has[2] or over < tonumber(has[2]) then redis.call('HSET', key, 'first', over) end
    if has[7] or not has[3] or has[3] == '0' then redis.call('PEXPIREAT', key .. ':held', has[4]) end
  end
end
return used
"""
)
# KEYS: budgets. ARGV: hold, tick_ms, then for each budget: where it is counted, as above; amount held; and how often something
# was spent, each time: bucket, at_ms, amount → what is spent now of each; -1 of a rate limit, of what is not known
# What was spent in a bucket that no longer counts is not kept.
_SETTLE = (
    _COMMON
    + """
local at, told, tick = 3, {}, tonumber(ARGV[2])
for i, key in ipairs(KEYS) do
  local held = ARGV[at + 1]
  local newest, oldest, step, kept_ms, kind = string.match(ARGV[at], '(%d+) (%d+) (%d+) (%d+) %-?%d+ (%d)')
  local ledger, has, fine = kind == '0', redis.call('HMGET', key, 'known', 'until', 'since', 'sum'), key .. ':fine'
  told[i] = -1
  if has[1] then
    if redis.call('ZREM', key .. ':held', ARGV[1] .. ' ' .. held) == 1 then
      redis.call('HINCRBY', key, 'held', -held)
    end
    for number = 1, tonumber(ARGV[at + 2]) do
      local one = at + 3 * number
      local moment, amount = tonumber(ARGV[one + 1]), tonumber(ARGV[one + 2])
      if amount > 0 and not (ledger and moment < tonumber(has[2] or 0)) then
        if not has[3] or tonumber(ARGV[one]) >= tonumber(has[3]) then
          redis.call('HINCRBY', key, ARGV[one], ARGV[one + 2])
          if has[3] then has[4] = redis.call('HINCRBY', key, 'sum', ARGV[one + 2]) end
        end
        if ledger then
          local when = ARGV[one] .. ' ' .. string.format('%.0f', moment - moment % tick)
          if redis.call('HINCRBY', fine, when, ARGV[one + 2]) == amount then redis.call('PEXPIRE', fine, kept_ms) end
        end
      end
    end
    if ledger then
      told[i] = tonumber(spent(key, tonumber(newest), tonumber(oldest), tonumber(step), has[4], has[3]))
    end
  end
  at = at + 3 + 3 * ARGV[at + 2]
end
return told
"""
)
# KEYS: budget. ARGV: since_ms (-1: the ledger's all), until_ms, again (1: the next comparison is of all), expire_s, then bucket
# and what the ledger has by turns → 1: taken
_COMPARE = """
local key, since, to, settled = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), {}
local known = redis.call('HMGET', key, 'known', 'until')
if since >= 0 and not (known[1] and tonumber(known[2] or -1) == since) then return 0 end
if known[1] and tonumber(known[2] or -1) >= to then return 0 end
local fine = redis.call('HGETALL', key .. ':fine')
for at = 1, #fine, 2 do
  local bucket, tick = string.match(fine[at], '^(%d+) (%d+)$')
  local later = tonumber(tick) >= to
  if later == (since < 0) then settled[bucket] = (settled[bucket] or 0) + fine[at + 1] end
  if not later then redis.call('HDEL', key .. ':fine', fine[at]) end
end
for at = 5, #ARGV, 2 do
  local bucket, amount = ARGV[at], tonumber(ARGV[at + 1])
  local missing = amount - (settled[bucket] or 0)
  if since < 0 then missing = amount + (settled[bucket] or 0) - (redis.call('HGET', key, bucket) or 0) end
  if missing > 0 then redis.call('HINCRBY', key, bucket, string.format('%.0f', missing)) end
end
redis.call('HDEL', key, 'sum', 'since')
redis.call('HSET', key, 'known', 1, 'until', ARGV[2], 'again', ARGV[3])
if redis.call('PTTL', key) < ARGV[4] * 1000 then redis.call('EXPIRE', key, ARGV[4]) end
return 1
"""
# KEYS: budget → until_ms, again; nothing of one that is not known
_COMPARED = """
local known = redis.call('HMGET', KEYS[1], 'known', 'until', 'again')
if not known[1] then return {} end
return {tonumber(known[2] or -1), tonumber(known[3] or 1)}
"""
# KEYS: budget. ARGV: newest, oldest, step → spent, held, known
_READ = (
    _COMMON
    + """
if redis.call('HEXISTS', KEYS[1], 'known') == 0 then return {0, 0, 0} end
let_go(KEYS[1], clock())
local has = redis.call('HMGET', KEYS[1], 'held', 'sum', 'since')
return {tonumber(spent(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), has[2], has[3])),
  tonumber(has[1] or 0), 1}
"""
)

_FORGET = "redis.call('DEL', KEYS[1], KEYS[1] .. ':held', KEYS[1] .. ':fine')"
#: Milliseconds of a tick.
TICK_MS: Final = 5_000


class Kind(IntEnum):
    """Where a counter begins, and when what is taken from it is spent: when it is settled, or at once."""

    FROM_LEDGER = 0
    FROM_NOTHING = 1
    AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Place:
    """Where a budget or rate limit is counted now, the same for all requests of a second. `limit` is None where it is not
    refused. `kept_s`: for how long its counter is of interest."""

    key: bytes
    buckets: Buckets
    limit: int | None
    kept_s: int
    kind: Kind
    told: str = field(init=False)

    def __post_init__(self) -> None:
        buckets, limit = self.buckets, -1 if self.limit is None else self.limit
        told = f"{buckets.newest} {buckets.oldest} {buckets.step} {self.kept_s * 1000} {limit} {int(self.kind)}"
        object.__setattr__(self, "told", told)


class Share(NamedTuple):
    """What a reservation takes of one budget or rate limit."""

    place: Place
    amount: int


#: What was spent at once: the bucket that it counts in, the millisecond since 1970, and how much.
Spent = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """`used` (spent and reserved before) of each budget; else the number of the one without room, or of one not known. There
    may be room in `wait_s` seconds; None where nobody knows."""

    used: Sequence[int] = ()
    full: int | None = None
    wait_s: int | None = None
    unknown: int | None = None


async def reserve(batches: ScriptBatches, hold: str, hold_s: float, shares: Sequence[Share]) -> Answer:
    """Reserve in all budgets, or in none."""
    arguments: list[Any] = [hold, int(hold_s * 1000)]
    for place, amount in shares:
        arguments += (place.told, amount)
    first, *rest = await batches.run(_RESERVE, [place.key for place, _ in shares], arguments)
    if first == -1:
        return Answer(unknown=rest[0] - 1)
    if first:
        return Answer(full=first - 1, wait_s=None if rest[1] < 0 else max(1, rest[1]))
    return Answer(used=rest)


def settle(
    batches: ScriptBatches, hold: str, shares: Sequence[Share], spent: Sequence[Sequence[Spent]]
) -> "asyncio.Future[list[int]]":
    """Put what was spent in the place of what was reserved. What is spent now of each budget; -1 of a rate limit, and of a
    counter that is not known. Needs not be waited for."""
    arguments: list[Any] = [hold, TICK_MS]
    for (place, held), times in zip(shares, spent, strict=True):
        arguments += (place.told, held, len(times))
        for time in times:
            arguments += time
    return batches.run(_SETTLE, [place.key for place, _ in shares], arguments, later=True)


async def compared(batches: ScriptBatches, key: bytes) -> tuple[int | None, bool] | None:
    """Until when a budget's counter was compared with the ledger, in milliseconds since 1970 (None: it never was), and whether
    the next comparison is to be of all; None for a counter that is not known."""
    found = await batches.run(_COMPARED, [key], [])
    return (None if found[0] < 0 else found[0], bool(found[1])) if found else None


async def compare(
    batches: ScriptBatches,
    key: bytes,
    spent: Mapping[int, int],
    *,
    since_ms: int | None,
    until_ms: int,
    again: bool,
    expire_s: int,
) -> None:
    """Count what the counter has missed of what the ledger says was spent from one moment to another, by bucket; with None from
    the beginning of its window, also for one that is not known yet. Does nothing where another process has been quicker.
    `again` where the ledger may not have all of it yet."""
    pairs = [each for pair in spent.items() for each in pair]
    arguments = [-1 if since_ms is None else since_ms, until_ms, int(again), expire_s, *pairs]
    await batches.run(_COMPARE, [key], arguments)


async def read(batches: ScriptBatches, key: bytes, buckets: Buckets) -> tuple[int, int] | None:
    """Spent and reserved; None for a counter that is not known."""
    spent, held, known = await batches.run(_READ, [key], [buckets.newest, buckets.oldest, buckets.step])
    return (spent, held) if known else None


async def forget(batches: ScriptBatches, key: bytes) -> None:
    """Delete a counter."""
    await batches.run(_FORGET, [key], [])
