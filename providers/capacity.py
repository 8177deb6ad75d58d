"""What a deployment may be given: calls and tokens in a minute, and calls at once. Asked before a call is sent.

The limits hold for all processes together where Redis is there: each adds what it used to a count, in the background, and
goes by the sum as it last heard it and by what it has used since. Without Redis each goes by its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

WINDOW_S = 60.0
#: Tokens that an answer is taken to have as long as no limit of its own is set and none was measured.
ANSWER_TOKENS = 500
#: Seconds for which a count of calls in flight is believed of a process that has said nothing since.
ALIVE_S = 10

#: Add what was used, tell the sums: of this minute, of the last one, seconds into it, calls in flight elsewhere. One key a
#: deployment, so that a cluster keeps all of it in one place. ARGV: process, calls, tokens, calls in flight, seconds believed.
SCRIPT = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local minute = math.floor(now / 60)
local kept = redis.call('HMGET', KEYS[1], 'minute', 'calls', 'tokens', 'calls_before', 'tokens_before')
local calls, tokens, calls_before, tokens_before = 0, 0, 0, 0
if tonumber(kept[1]) == minute then
  calls, tokens, calls_before, tokens_before = kept[2], kept[3], kept[4], kept[5]
elseif tonumber(kept[1]) == minute - 1 then
  calls_before, tokens_before = kept[2], kept[3]
end
calls, tokens = calls + ARGV[2], tokens + ARGV[3]
redis.call('HSET', KEYS[1], 'minute', minute, 'calls', calls, 'tokens', tokens, 'calls_before', calls_before,
  'tokens_before', tokens_before, 'busy:' .. ARGV[1], ARGV[4] .. ' ' .. now)
redis.call('EXPIRE', KEYS[1], 180)
local busy = 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if string.sub(all[i], 1, 5) == 'busy:' and all[i] ~= 'busy:' .. ARGV[1] then
    local count, at = string.match(all[i + 1], '(%S+) (%S+)')
    if now - at > tonumber(ARGV[5]) then redis.call('HDEL', KEYS[1], all[i]) else busy = busy + count end
  end
end
return {tostring(calls), tostring(tokens), tostring(calls_before), tostring(tokens_before), tostring(now % 60), busy}
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """None is no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None

    @property
    def any(self) -> bool:
        return any((self.requests_per_minute, self.tokens_per_minute, self.concurrent))

    def tighter(self, other: "Limits") -> "Limits":
        """The smaller of each, for a deployment that two aliases give limits to."""
        pairs = (
            (self.requests_per_minute, other.requests_per_minute),
            (self.tokens_per_minute, other.tokens_per_minute),
            (self.concurrent, other.concurrent),
        )
        return Limits(*(min((each for each in pair if each is not None), default=None) for pair in pairs))


class Window:
    """What was used within the last minute: of the minute before as much as the window still covers."""

    __slots__ = ("_began", "before", "used")

    def __init__(self) -> None:
        self.used = self.before = 0.0
        self._began = 0.0

    def set(self, used: float, before: float, began: float) -> None:
        self.used, self.before, self._began = used, before, began

    def add(self, amount: float, now: float) -> None:
        self._turn(now)
        self.used += amount

    def total(self, now: float) -> float:
        self._turn(now)
        return self.used + self.before * max(0.0, 1 - (now - self._began) / WINDOW_S)

    def room_in_s(self, limit: float, amount: float, now: float) -> float:
        """Seconds until `amount` more is within `limit`; 0 where it is now."""
        too_much = self.total(now) + amount - limit
        if too_much <= 0:
            return 0.0
        if self.before and too_much <= self.before * max(0.0, 1 - (now - self._began) / WINDOW_S):
            return too_much / self.before * WINDOW_S
        rest = self._began + WINDOW_S - now  # of this minute; within the next one, this one's share shrinks
        left = self.used + amount - limit
        return rest + (max(0.0, left) / self.used * WINDOW_S if self.used else 0.0)

    def _turn(self, now: float) -> None:
        if now - self._began >= 2 * WINDOW_S:
            self.set(0.0, 0.0, now)
        elif now - self._began >= WINDOW_S:
            self.set(0.0, self.used, self._began + WINDOW_S)


class Capacity:
    """Of one deployment. Times are `time.monotonic()`'s."""

    __slots__ = ("_calls", "_elsewhere", "_tokens", "limits", "unsaid_calls", "unsaid_tokens")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._calls, self._tokens = Window(), Window()
        self._elsewhere = 0
        self.unsaid_calls = 0
        self.unsaid_tokens = 0

    def wait_s(self, tokens: int, in_flight: int, now: float) -> float:
        """Seconds until a call of `tokens` may be sent; 0: now. A second where all calls at once are taken."""
        limits = self.limits
        wait = 0.0
        if limits.concurrent is not None and in_flight + self._elsewhere >= limits.concurrent:
            wait = 1.0
        if limits.requests_per_minute is not None:
            wait = max(wait, self._calls.room_in_s(limits.requests_per_minute, 1, now))
        if limits.tokens_per_minute is not None:
            wait = max(wait, self._tokens.room_in_s(limits.tokens_per_minute, min(tokens, limits.tokens_per_minute), now))
        return wait

    def is_full_elsewhere(self, in_flight: int) -> bool:
        """Whether all calls at once are taken by what was last heard of other processes, and not by this one's alone."""
        most = self.limits.concurrent
        return most is not None and in_flight < most <= in_flight + self._elsewhere

    def take(self, tokens: int, now: float) -> None:
        """A call of about `tokens` is sent."""
        self._calls.add(1, now)
        self._tokens.add(tokens, now)
        self.unsaid_calls += 1
        self.unsaid_tokens += tokens

    def correct(self, tokens: int, now: float) -> None:
        """A call took so many tokens more, or fewer, than it was taken to."""
        self._tokens.add(tokens, now)
        self.unsaid_tokens += tokens

    def tell(self, process: str, in_flight: int) -> tuple[Any, ...]:
        """The arguments of `SCRIPT`. What they tell counts as said until `unsay` says that it did not arrive."""
        told = (process, self.unsaid_calls, self.unsaid_tokens, in_flight, ALIVE_S)
        self.unsaid_calls = self.unsaid_tokens = 0
        return told

    def unsay(self, told: tuple[Any, ...]) -> None:
        self.unsaid_calls += told[1]
        self.unsaid_tokens += told[2]

    def hear(self, answer: Sequence[Any], now: float) -> None:
        """The answer of `SCRIPT`; what was used here since it was sent is added."""
        calls, tokens, calls_before, tokens_before, into, busy = (float(part) for part in answer)
        self._calls.set(calls + self.unsaid_calls, calls_before, now - into)
        self._tokens.set(tokens + self.unsaid_tokens, tokens_before, now - into)
        self._elsewhere = int(busy)
