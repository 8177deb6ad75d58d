"""What was spent and what is reserved, by budget and rate limit, in Redis or Valkey: one answer for all processes.

Amounts are whole numbers: requests, tokens, or dollars of 10⁻⁹, rounded up. A budget's counter that is not there (a new budget,
a server that lost its memory) is made from the ledger; a rate limit's begins at nothing. A reservation that nobody settles is
let go after its time.
"""

from collections.abc import Sequence
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
# KEYS: budgets. ARGV: hold, then for each budget: newest, oldest, expire_s, amount held, amount spent
_SETTLE = """
for i, key in ipairs(KEYS) do
  local at = 1 + (i - 1) * 5
  if redis.call('HEXISTS', key, 'known') == 1 then
    if redis.call('ZREM', key .. ':held', ARGV[1] .. ' ' .. ARGV[at + 4]) == 1 then
      redis.call('HINCRBY', key, 'held', -ARGV[at + 4])
    end
    if tonumber(ARGV[at + 5]) > 0 then redis.call('HINCRBY', key, ARGV[at + 1], ARGV[at + 5]) end
    redis.call('EXPIRE', key, ARGV[at + 3])
  end
end
"""
# KEYS: budget. ARGV: expire_s, then bucket and amount by turns
_SEED = """
if redis.call('HSETNX', KEYS[1], 'known', 1) == 0 then return 0 end
for at = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1]) end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
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

_DOUBT = "redis.call('HDEL', KEYS[1], 'known')"
_FORGET = "redis.call('DEL', KEYS[1], KEYS[1] .. ':held')"


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


async def settle(batches: ScriptBatches, hold: str, shares: Sequence[Share], spent: Sequence[int]) -> None:
    """Put what was spent in the place of what was reserved."""
    arguments: list[Any] = [hold]
    for share, amount in zip(shares, spent, strict=True):
        buckets = share.buckets
        arguments += [buckets.newest, buckets.oldest, share.kept_s, share.amount, amount]
    await batches.run(_SETTLE, [share.key for share in shares], arguments, later=True)


async def seed(batches: ScriptBatches, key: str, buckets: Buckets, spent: dict[int, int]) -> None:
    """Make a counter, unless another process has."""
    pairs = [each for pair in spent.items() for each in pair]
    await batches.run(_SEED, [key], [buckets.expire_s, *pairs])


async def doubt(batches: ScriptBatches, key: str) -> None:
    """Have a budget's counter made anew from the ledger by whoever asks next. What is reserved stays so."""
    await batches.run(_DOUBT, [key], [])


async def read(batches: ScriptBatches, key: str, buckets: Buckets) -> tuple[int, int] | None:
    """Spent and reserved; None for a counter that is not known."""
    spent, held, known = await batches.run(_READ, [key], [buckets.newest, buckets.oldest, buckets.step])
    return (spent, held) if known else None


async def forget(batches: ScriptBatches, key: str) -> None:
    """Delete a counter."""
    await batches.run(_FORGET, [key], [])
