"""Holding requests to budgets and rate limits, in all processes together: room is reserved before a call, settled after it."""

import asyncio
import secrets
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy import Engine
from sqlmodel import col, or_, select

from core import context
from core.budget_settings import BudgetSettings
from core.budgets import counters
from core.budgets.allowances import allowances
from core.budgets.alone import Alone
from core.budgets.comparing import Comparing
from core.budgets.counters import Kind, Place, Share
from core.budgets.refusals import refuse, refuse_too_long, refuse_unpriced, tell
from core.budgets.rules import UNIT_USD, Rule, Rules, Unit, units
from core.budgets.spent import spent
from core.budgets.store import Store, StoreAway
from core.budgets.windows import milliseconds
from core.database import Database, blocking_engine, utc_now
from core.errors import Unavailable
from core.principals import Principal
from core.redis_clients import RedisClients
from core.redis_reach import FAILURES
from core.settings import Settings
from core.tables import APIKey, Budget, RateLimit

log = structlog.get_logger()

_TRIES: Final = 3
#: Counters whose place is kept in mind.
_PLACES: Final = 10_000
_NOWHERE: Final = None, 0, 0.0, None


@dataclass(frozen=True, slots=True)
class Spending:
    """What was spent at once, and when: as the ledger has it."""

    at: datetime
    tokens: int
    usd: Decimal


@dataclass(frozen=True, slots=True)
class Hold:
    """What is reserved for a request. `settle` it once."""

    budgets: "Budgets"
    id: str
    rules: Sequence[Rule]
    shares: Sequence[Share]

    @property
    def bounds(self) -> bool:
        """Whether a budget lets nothing go over its limit, so that the answer must not be longer than was reserved."""
        return any(rule.refuses and not rule.rate for rule in self.rules)

    def settle(self, *spent: Spending) -> None:
        """Put what was spent in the place of what was reserved. Returns at once; must be called on an event loop."""
        self.budgets.settle(self, spent)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a budget stands: in tokens, or in dollars. `counted` is False where the server that counts is away: what was spent is
    then the ledger's, and what is `reserved` nobody knows: None."""

    spent: Decimal
    reserved: Decimal | None
    counted: bool
    begin: datetime
    end: datetime | None


class Budgets:
    """One for a process. Before `connect` there are none.

    Where the server that counts is away, what falls under a budget that refuses is refused, and the process counts alone for
    rate limits, unless the settings say otherwise.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings
        self._rules = Rules()
        self._store: Store | None = None
        self._alone = Alone()
        self._opened: Engine | None = None
        self._opening = threading.Lock()
        self._settling: set[asyncio.Future[list[int]]] = set()
        #: Counters that have not heard of everything that was spent: they are compared with the ledger before they are asked.
        self._behind: set[str] = set()
        self._comparing = Comparing(self._spent)
        #: By counter: of which rule, second and time of holding.
        self._places: dict[str, tuple[Rule | None, int, float, Place | None]] = {}

    def connect(self, clients: RedisClients) -> None:
        """Count together with the other processes that are connected to this server."""
        self._store = Store(clients)

    def close(self) -> None:
        if self._opened is not None:
            self._opened.dispose()

    def _spent(self, rule: Rule, now: datetime, since: datetime | None = None) -> dict[int, int]:
        """What the ledger has, by bucket. Blocking."""
        if self._settings is None:
            return {}
        with self._opening:
            self._opened = self._opened or blocking_engine(self._settings)
        return dict(spent(self._opened, rule, now, since))

    async def load(self, database: Database) -> None:
        """Read the budgets and rate limits of all tenants."""
        async with database.session(all_tenants=True) as session:
            budgets, rates = (await session.exec(select(Budget))).all(), (await session.exec(select(RateLimit))).all()
            first = dict((await session.exec(_first_keys())).all())
        self._rules = Rules(budgets, rates, first)

    def of(self, principal: Principal, alias: str) -> Sequence[Rule]:
        """What a request falls under."""
        return self._rules.of(principal, alias)

    async def reserve(
        self, rules: Sequence[Rule], tokens: int, usd: Decimal | None, hold_s: float, *, at_least: int = 0
    ) -> Hold | None:
        """Reserve for a request of at most so many tokens and dollars, for `hold_s` seconds unless it is settled before. `usd`
        is None where no price is known. `at_least` as many tokens it will use: a rate limit is asked for as much as it has, and
        corrected afterwards. None: the server that counts is away, and the settings let requests through.

        Raises:
            BudgetExceeded: there is no room; `budget_unpriced`.
            RateLimited: a rate limit has none; `request_over_rate_limit`.
            Degraded: there is none, or no price is known, and the budget names a cheaper alias.
            Unavailable: `budgets_unavailable`.
        """
        if usd is None:
            refuse_unpriced(rules)
        refuse_too_long(rules, at_least)
        now, hold = utc_now(), secrets.token_hex(8)
        shares = self._shares(rules, tokens, usd or Decimal(0), now, hold_s)
        answer = await self._ask(hold, hold_s, rules, shares, now)
        if answer is None:
            self._go_without(rules, now)
            return None
        if answer.full is not None:
            context.current().allowances = allowances((rules[answer.full],), (rules[answer.full].limit,), answer.wait_s)
            refuse(rules[answer.full], answer, now, amount=shares[answer.full].amount)
        used = [before + share.amount for before, share in zip(answer.used, shares, strict=True)]
        context.current().allowances = allowances(rules, used)
        return Hold(self, hold, rules, shares)

    async def reserve_more(self, holds: Sequence[Hold], tokens: int, usd: Decimal, hold_s: float) -> Hold | None:
        """Reserve what is missing where a request needs so much in all and has `holds`, in the budgets alone: what rate limits
        allow it has taken. None: there is enough, or see `reserve`.

        Raises:
            BudgetExceeded, Degraded, Unavailable: see `reserve`.
        """
        now, hold = utc_now(), secrets.token_hex(8)
        rules = [rule for rule in holds[0].rules if not rule.rate]
        reserved: Counter[bytes] = Counter()
        for each in holds:
            reserved.update({place.key: amount for place, amount in each.shares})
        needed = self._shares(rules, tokens, usd, now, hold_s)
        shares = [Share(place, max(0, amount - reserved[place.key])) for place, amount in needed]
        if not any(share.amount for share in shares):
            return None
        answer = await self._ask(hold, hold_s, rules, shares, now)
        if answer is None:
            self._go_without(rules, now)
            return None
        if answer.full is not None:
            refuse(rules[answer.full], answer, now)
        return Hold(self, hold, rules, shares)

    def _shares(self, rules: Sequence[Rule], tokens: int, usd: Decimal, now: datetime, hold_s: float) -> list[Share]:
        amounts = {Unit.USD: units(usd), Unit.TOKENS: tokens}
        return [Share(self._place(rule, now, hold_s), _amount(rule, amounts)) for rule in rules]

    def _place(self, rule: Rule, now: datetime, hold_s: float) -> Place:
        """Found once a second."""
        second = int(now.timestamp())
        of, at, held_s, place = self._places.get(rule.counter, _NOWHERE)
        if place is None or of is not rule or at != second or held_s != hold_s:
            place = _placed(rule, now, hold_s)
            if len(self._places) >= _PLACES:
                self._places.clear()
            self._places[rule.counter] = rule, second, hold_s, place
        return place

    async def _ask(
        self, hold: str, hold_s: float, rules: Sequence[Rule], shares: Sequence[Share], now: datetime
    ) -> counters.Answer | None:
        if self._store is not None:
            try:
                with self._store.asked() as batches:
                    for rule in [rule for rule in rules if rule.counter in self._behind] if self._behind else ():
                        await self._comparing.now(batches, rule, now)
                        self._behind.discard(rule.counter)
                    for _ in range(len(rules) + _TRIES):
                        answer = await counters.reserve(batches, hold, hold_s, shares)
                        if answer.unknown is None:
                            return answer
                        await self._comparing.make(batches, rules[answer.unknown], now)
            except StoreAway:
                return None
        return None

    def _go_without(self, rules: Sequence[Rule], now: datetime) -> None:
        chosen = BudgetSettings() if self._settings is None else self._settings.budgets
        for rule in rules:
            way = chosen.rate_limits_without_store if rule.rate else chosen.without_store
            if rule.refuses and way == "refuse":
                raise Unavailable("The budgets cannot be asked now.", code="budgets_unavailable", retry_after_s=1)
        if chosen.rate_limits_without_store == "process" and (full := self._alone.full(rules)) is not None:
            refuse(*full, now)
        self._behind.update(rule.counter for rule in rules if not rule.rate)

    def settle(self, hold: Hold, spent: Sequence[Spending]) -> None:
        """See `Hold.settle`."""
        if self._store is None:
            return
        held = [pair for pair in zip(hold.rules, hold.shares, strict=True) if pair[1].place.kind is not Kind.AT_ONCE]
        if held:
            times = [[_counted_in(rule, share.place, each) for each in spent] for rule, share in held]
            settling = counters.settle(self._store.batches, hold.id, [share for _, share in held], times)
            self._settling.add(settling)
            heard = partial(self._heard, self._store, self._store.ends, hold, [rule for rule, _ in held])
            settling.add_done_callback(heard)

    def _heard(
        self, store: Store, since: int, hold: Hold, rules: Sequence[Rule], settling: "asyncio.Future[list[int]]"
    ) -> None:
        self._settling.discard(settling)
        if settling.cancelled():
            return
        error = settling.exception()
        if error is None:
            for rule, amount in zip(rules, settling.result(), strict=True):
                if amount >= 0:
                    tell(rule, amount)
            return
        if not isinstance(error, FAILURES):
            raise error
        store.failed(error, since)
        # what was reserved stays so until its time is over; the ledger has what was spent
        log.debug("budgets.not_settled", hold=hold.id)
        self._behind.update(rule.counter for rule in hold.rules if not rule.rate)

    async def settled(self) -> None:
        """Wait until what was settled on this loop is counted."""
        while mine := [one for one in self._settling if one.get_loop() is asyncio.get_running_loop()]:
            await asyncio.wait(mine)

    async def standing(self, row: Budget, *, compared_s: float = 0) -> Standing:
        """How a budget stands now, and as the ledger has it: its counter is compared with it, where nobody has done so within
        `compared_s` seconds."""
        rule, now = Rule.of(row), utc_now()
        unit = UNIT_USD if rule.in_usd else Decimal(1)
        found = await self._counted(rule, now, compared_s)
        if found is None:
            by_bucket = await asyncio.to_thread(self._spent, rule, now)
            used, held = sum(by_bucket.values()), None
        else:
            used, held = found[0], found[1] * unit
        return Standing(used * unit, held, found is not None, rule.window.begin(now), rule.window.end(now))

    async def _counted(self, rule: Rule, now: datetime, compared_s: float) -> tuple[int, int] | None:
        """Spent and reserved; None where the server that counts is away."""
        if self._store is None:
            return None
        buckets = rule.window.buckets(now)
        try:
            with self._store.asked() as batches:
                await self._comparing.late(batches, rule, now, compared_s)
                found = await counters.read(batches, rule.key_in_redis, buckets)
                if found is None:
                    await self._comparing.make(batches, rule, now)
                    found = await counters.read(batches, rule.key_in_redis, buckets)
        except StoreAway:
            return None
        return found or (0, 0)

    async def forget(self, row: Budget) -> None:
        """Delete the counter of a budget that is no more. It expires by itself where the server is away."""
        if self._store is not None:
            try:
                with self._store.asked() as batches:
                    await counters.forget(batches, Rule.of(row).key_in_redis)
            except StoreAway:
                log.debug("budgets.not_forgotten", budget=row.id)


def _first_keys() -> Any:
    """Selects the keys that budgets and rate limits name and that took the place of others, with the first of these."""
    named = (Budget.key, Budget.user, RateLimit.key, RateLimit.user)
    line = select(APIKey.id, APIKey.stands_for).where(col(APIKey.stands_for).is_not(None))
    return line.where(or_(*(col(APIKey.id).in_(select(name)) for name in named)))


def _amount(rule: Rule, amounts: Mapping[Unit, int]) -> int:
    """What a request takes of a rule. Of a rate limit it never takes more than there is at all: how long the answer will be is
    a guess."""
    amount = amounts.get(rule.unit, 1)
    return min(amount, rule.limit) if rule.rate and rule.unit is Unit.TOKENS else amount


def _placed(rule: Rule, now: datetime, hold_s: float) -> Place:
    kind = Kind.FROM_LEDGER
    if rule.rate:
        kind = Kind.AT_ONCE if rule.unit is Unit.REQUESTS else Kind.FROM_NOTHING
    buckets = rule.window.buckets(now)
    kept_s = max(buckets.expire_s, int(hold_s) + 1) if rule.rate else buckets.expire_s
    return Place(rule.key_in_redis, buckets, rule.limit if rule.refuses else None, kept_s, kind)


def _counted_in(rule: Rule, place: Place, spent: Spending) -> counters.Spent:
    """A budget counts it when it was spent, as the ledger does; a rate limit when the request began."""
    if rule.rate:
        return place.buckets.newest, 0, spent.tokens if rule.unit is Unit.TOKENS else 0
    amount = units(spent.usd) if rule.in_usd else spent.tokens
    return rule.window.buckets(spent.at).newest, milliseconds(spent.at), amount
