"""What was spent and what is reserved, by budget and rate limit, in Redis or Valkey: one answer for all processes.

Amounts are whole numbers: requests, tokens, or dollars of 10⁻⁹, rounded up. A budget's counter that is not there (a new budget,
a server that lost its memory) is made from the ledger; a rate limit's begins at nothing. A reservation that nobody settles is
let go after its time.

A budget's counter is compared with the ledger now and then, since a process that dies and a server that is away settle nothing.
What was spent before `until` is the ledger's to say, what comes later is settled: so nothing is counted twice, however late it
is settled and however many compare. What was settled since is also kept by the time it was spent at (`:fine`, in ticks).
What is counted is never taken back by a comparison: the ledger may have a row later than the counter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from core.budgets.windows import Buckets
from core.redis_batches import ScriptBatches

PREFIX: Final = "genai:budget"

#: Shared by the scripts: let go what nobody settled in time; sum what counts.
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
end
local function spent(key, newest, oldest, step)
  local sum = 0
  for bucket = newest, oldest, -step do sum = sum + (redis.call('HGET', key, bucket) or 0) end
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
# KEYS: budgets. ARGV: hold, hold_ms, then for each budget: newest, oldest, step, expire_s, amount, limit (-1: none), kind
# (0: known from the ledger, 1: begins at nothing, 2: and is spent at once)
# → {-1, i}: the i-th is not known; {i, used, wait_s}: the i-th has no room, and may after so many seconds (-1: nobody knows);
# {0, used, used, …}: reserved
_RESERVE = (
    _COMMON
    + """
local now, used = clock(), {0}
for i, key in ipairs(KEYS) do
  local at = 2 + (i - 1) * 7
  if redis.call('HEXISTS', key, 'known') == 0 then
    if ARGV[at + 7] == '0' then return {-1, i} end
    redis.call('HSET', key, 'known', 1)
    redis.call('EXPIRE', key, ARGV[at + 4])
  end
  let_go(key, now)
  local sum = spent(key, tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]))
    + (redis.call('HGET', key, 'held') or 0)
  local limit = tonumber(ARGV[at + 6])
  if limit >= 0 and sum + ARGV[at + 5] > limit then
    return {i, sum, room_in(key, now, tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]),
      sum + ARGV[at + 5] - limit)}
  end
  used[i + 1] = sum
end
for i, key in ipairs(KEYS) do
  local at = 2 + (i - 1) * 7
  if ARGV[at + 7] == '2' then
    redis.call('HINCRBY', key, ARGV[at + 1], ARGV[at + 5])
  else
    redis.call('ZADD', key .. ':held', now + ARGV[2], ARGV[1] .. ' ' .. ARGV[at + 5])
    redis.call('HINCRBY', key, 'held', ARGV[at + 5])
    redis.call('EXPIRE', key .. ':held', ARGV[at + 4])
  end
  redis.call('EXPIRE', key, ARGV[at + 4])
end
return used
"""
)
# KEYS: budgets. ARGV: hold, tick_ms, then for each budget: newest, oldest, step, expire_s, amount held, kind, and how often
# something was spent, each time: bucket, at_ms, amount → what is spent now of each; -1 of a rate limit, of what is not known
_SETTLE = (
    _COMMON
    + """
local at, told, tick = 3, {}, tonumber(ARGV[2])
for i, key in ipairs(KEYS) do
  local ledger, known, fine = ARGV[at + 5] == '0', redis.call('HMGET', key, 'known', 'until'), key .. ':fine'
  told[i] = -1
  if known[1] then
    if redis.call('ZREM', key .. ':held', ARGV[1] .. ' ' .. ARGV[at + 4]) == 1 then
      redis.call('HINCRBY', key, 'held', -ARGV[at + 4])
    end
    for number = 1, tonumber(ARGV[at + 6]) do
      local one = at + 4 + 3 * number
      local moment, amount = tonumber(ARGV[one + 1]), tonumber(ARGV[one + 2])
      if amount > 0 and not (ledger and moment < tonumber(known[2] or 0)) then
        redis.call('HINCRBY', key, ARGV[one], ARGV[one + 2])
        if ledger then
          redis.call('HINCRBY', fine, ARGV[one] .. ' ' .. string.format('%.0f', moment - moment % tick), ARGV[one + 2])
          redis.call('EXPIRE', fine, ARGV[at + 3])
        end
      end
    end
    redis.call('EXPIRE', key, ARGV[at + 3])
    if ledger then told[i] = spent(key, tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])) end
  end
  at = at + 7 + 3 * ARGV[at + 6]
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
redis.call('HSET', key, 'known', 1, 'until', ARGV[2], 'again', ARGV[3])
redis.call('EXPIRE', key, ARGV[4])
return 1
"""
# KEYS: budget → until_ms, again; nothing of one that is not known
_COMPARED = """
local known = redis.call('HMGET', KEYS[1], 'known', 'until', 'again')
if not known[1] then return {} end
return {tonumber(known[2] or -1), tonumber(known[3] or 1)}
"""
# KEYS: budget. ARGV: newest, oldest, step → spent, held
_READ = (
    _COMMON
    + """
let_go(KEYS[1], clock())
return {spent(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])),
  tonumber(redis.call('HGET', KEYS[1], 'held') or 0), redis.call('HEXISTS', KEYS[1], 'known')}
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
class Share:
    """What a reservation takes of one budget or rate limit. `limit` is None where it is not refused. `kept_s`: for how long its
    counter is of interest."""

    key: str
    buckets: Buckets
    amount: int
    limit: int | None
    kept_s: int
    kind: Kind


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
    for share in shares:
        buckets, limit = share.buckets, -1 if share.limit is None else share.limit
        arguments += [buckets.newest, buckets.oldest, buckets.step, share.kept_s, share.amount, limit, int(share.kind)]
    first, *rest = await batches.run(_RESERVE, [share.key for share in shares], arguments)
    if first == -1:
        return Answer(unknown=rest[0] - 1)
    if first:
        return Answer(full=first - 1, wait_s=None if rest[1] < 0 else max(1, rest[1]))
    return Answer(used=rest)


async def settle(
    batches: ScriptBatches, hold: str, shares: Sequence[Share], spent: Sequence[Sequence[Spent]]
) -> Sequence[int | None]:
    """Put what was spent in the place of what was reserved. What is spent now of each budget; None of a rate limit, and of a
    counter that is not known."""
    arguments: list[Any] = [hold, TICK_MS]
    for share, times in zip(shares, spent, strict=True):
        buckets = share.buckets
        arguments += [buckets.newest, buckets.oldest, buckets.step, share.kept_s, share.amount, int(share.kind), len(times)]
        arguments += [each for time in times for each in time]
    told = await batches.run(_SETTLE, [share.key for share in shares], arguments, later=True)
    return [None if amount < 0 else amount for amount in told]


async def compared(batches: ScriptBatches, key: str) -> tuple[int | None, bool] | None:
    """Until when a budget's counter was compared with the ledger, in milliseconds since 1970 (None: it never was), and whether
    the next comparison is to be of all; None for a counter that is not known."""
    found = await batches.run(_COMPARED, [key], [])
    return (None if found[0] < 0 else found[0], bool(found[1])) if found else None


async def compare(
    batches: ScriptBatches,
    key: str,
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


async def read(batches: ScriptBatches, key: str, buckets: Buckets) -> tuple[int, int] | None:
    """Spent and reserved; None for a counter that is not known."""
    spent, held, known = await batches.run(_READ, [key], [buckets.newest, buckets.oldest, buckets.step])
    return (spent, held) if known else None


async def forget(batches: ScriptBatches, key: str) -> None:
    """Delete a counter."""
    await batches.run(_FORGET, [key], [])
