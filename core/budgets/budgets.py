"""Holding requests to budgets: room is reserved before a call and settled after it, in all processes together."""

import asyncio
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

import structlog
from redis.exceptions import RedisError
from sqlalchemy import Engine
from sqlmodel import select

from core.alerts import AlertKind, raise_alert
from core.budgets import counters
from core.budgets.counters import Share
from core.budgets.rules import UNIT_USD, Rule, Rules, units
from core.budgets.spent import spent
from core.database import Database, blocking_engine, utc_now
from core.errors import BudgetExceeded, Unavailable
from core.principals import Principal
from core.redis_batches import ScriptBatches
from core.redis_clients import RedisClients
from core.settings import Settings
from core.tables.budgets import Budget, BudgetMode

log = structlog.get_logger()

#: Seconds that the server is left alone after a failure.
REST_S: Final = 1.0
#: Shares of a budget that are told of.
_TOLD: Final = (1.0, 0.8, 0.5)
_TRIES: Final = 3


class Degraded(Exception):
    """The request is to go to a cheaper alias."""

    def __init__(self, alias: str) -> None:
        super().__init__(alias)
        self.alias = alias


@dataclass(frozen=True, slots=True)
class Hold:
    """What is reserved for a request. `settle` it once."""

    budgets: "Budgets"
    id: str
    rules: Sequence[Rule]
    shares: Sequence[Share]

    @property
    def refuses(self) -> bool:
        """Whether one of its budgets lets nothing go over its limit."""
        return any(rule.refuses for rule in self.rules)

    def settle(self, tokens: int, usd: Decimal) -> None:
        """Put what was spent in the place of what was reserved. Returns at once; must be called on an event loop."""
        self.budgets.settle(self, tokens, usd)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a budget stands: in tokens, or in dollars. `counted` is False where the server that counts is away: what was spent is
    then the ledger's, and what is reserved nobody knows."""

    spent: Decimal
    reserved: Decimal
    counted: bool
    begin: datetime
    end: datetime | None


class Budgets:
    """One for a process. Before `connect` there are none.

    Where the server that counts is away, what falls under a budget that refuses is refused, unless the settings say otherwise.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings
        self._closed = settings is None or settings.budgets.without_store == "refuse"
        self._rules = Rules()
        self._batches: ScriptBatches | None = None
        self._opened: Engine | None = None
        self._opening = threading.Lock()
        self._settling: set[asyncio.Task[None]] = set()
        self._rest_until = 0.0

    def connect(self, clients: RedisClients) -> None:
        """Count together with the other processes that are connected to this server."""
        self._batches = ScriptBatches(clients)

    def close(self) -> None:
        if self._opened is not None:
            self._opened.dispose()

    def _spent(self, rule: Rule, now: datetime) -> dict[int, int]:
        """What the ledger has, by bucket. Blocking."""
        if self._settings is None:
            return {}
        with self._opening:
            self._opened = self._opened or blocking_engine(self._settings)
        return dict(spent(self._opened, rule, now))

    async def load(self, database: Database) -> None:
        """Read the budgets of all tenants."""
        async with database.session(all_tenants=True) as session:
            self._rules = Rules((await session.exec(select(Budget))).all())

    def of(self, principal: Principal, alias: str) -> Sequence[Rule]:
        """The budgets that a request falls under."""
        return self._rules.of(principal, alias)

    async def reserve(self, rules: Sequence[Rule], tokens: int, usd: Decimal | None, hold_s: float) -> Hold | None:
        """Reserve for a request of at most so many tokens and dollars, for `hold_s` seconds unless it is settled before. `usd`
        is None where no price is known. None: the server that counts is away, and the settings let requests through.

        Raises:
            BudgetExceeded: there is no room; `budget_unpriced`.
            Degraded: there is none, and the budget names a cheaper alias.
            Unavailable: `budgets_unavailable`.
        """
        if usd is None:
            _refuse_unpriced(rules)
        now, hold = utc_now(), secrets.token_hex(8)
        amounts = [units(usd or Decimal(0)) if rule.in_usd else tokens for rule in rules]
        shares = [
            Share(rule.counter, rule.window.buckets(now), amount, rule.limit if rule.refuses else None)
            for rule, amount in zip(rules, amounts, strict=True)
        ]
        answer = await self._ask(hold, hold_s, rules, shares, now)
        if answer is None:
            return None
        if answer.full is not None:
            _refuse(rules[answer.full], now)
        for rule, share, used in zip(rules, shares, answer.used, strict=True):
            _tell(rule, used + share.amount)
        return Hold(self, hold, rules, shares)

    async def _ask(
        self, hold: str, hold_s: float, rules: Sequence[Rule], shares: Sequence[Share], now: datetime
    ) -> counters.Answer | None:
        loop = asyncio.get_running_loop()
        if self._batches is None or self._rest_until > loop.time():
            self._may_go_without(rules)
            return None
        try:
            for _ in range(len(rules) + _TRIES):
                answer = await counters.reserve(self._batches, hold, hold_s, shares)
                if answer.unknown is None:
                    return answer
                await self._seed(self._batches, rules[answer.unknown], now)
        except (RedisError, OSError, TimeoutError) as error:
            self._rest_until = loop.time() + REST_S
            log.warning("budgets.store_away", error=type(error).__name__)
        self._may_go_without(rules)
        return None

    def _may_go_without(self, rules: Sequence[Rule]) -> None:
        if self._closed and any(rule.refuses for rule in rules):
            raise Unavailable("The budgets cannot be asked now.", code="budgets_unavailable", retry_after_s=1)

    async def _seed(self, batches: ScriptBatches, rule: Rule, now: datetime) -> None:
        found = await asyncio.to_thread(self._spent, rule, now)
        await counters.seed(batches, rule.counter, rule.window.buckets(now), found)

    def settle(self, hold: Hold, tokens: int, usd: Decimal) -> None:
        """See `Hold.settle`."""
        task = asyncio.get_running_loop().create_task(self._settle(hold, tokens, usd))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def _settle(self, hold: Hold, tokens: int, usd: Decimal) -> None:
        if self._batches is None:
            return
        amounts = [units(usd) if rule.in_usd else tokens for rule in hold.rules]
        try:
            await counters.settle(self._batches, hold.id, hold.shares, amounts)
        except (RedisError, OSError, TimeoutError) as error:
            # what was reserved stays so until its time is over; the ledger has what was spent
            log.warning("budgets.not_settled", error=type(error).__name__)

    async def settled(self) -> None:
        """Wait until what was settled on this loop is counted."""
        while mine := [task for task in self._settling if task.get_loop() is asyncio.get_running_loop()]:
            await asyncio.gather(*mine)

    async def standing(self, row: Budget) -> Standing:
        """How a budget stands now."""
        rule, now = Rule.of(row), utc_now()
        unit = UNIT_USD if rule.in_usd else Decimal(1)
        found = await self._counted(rule, now)
        if found is None:
            by_bucket = await asyncio.to_thread(self._spent, rule, now)
            used, held = sum(by_bucket.values()), 0
        else:
            used, held = found
        return Standing(used * unit, held * unit, found is not None, rule.window.begin(now), rule.window.end(now))

    async def _counted(self, rule: Rule, now: datetime) -> tuple[int, int] | None:
        """Spent and reserved; None where the server that counts is away."""
        if self._batches is None:
            return None
        buckets = rule.window.buckets(now)
        try:
            found = await counters.read(self._batches, rule.counter, buckets)
            if found is None:
                await self._seed(self._batches, rule, now)
                found = await counters.read(self._batches, rule.counter, buckets)
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("budgets.store_away", error=type(error).__name__)
            return None
        return found or (0, 0)

    async def forget(self, row: Budget) -> None:
        """Delete the counter of a budget that is no more. It expires by itself where the server is away."""
        if self._batches is not None:
            try:
                await counters.forget(self._batches, Rule.of(row).counter)
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("budgets.store_away", error=type(error).__name__)


def _refuse(rule: Rule, now: datetime) -> None:
    _tell(rule, rule.limit)
    if rule.mode is BudgetMode.DEGRADE and rule.degrade_to is not None:
        raise Degraded(rule.degrade_to)
    end = rule.window.end(now)
    raise BudgetExceeded(
        f"The budget {rule.name or rule.id!r} has no room for this request.",
        retry_after_s=None if end is None else (end - now).total_seconds(),
        context={"budget": rule.id},
    )


def _refuse_unpriced(rules: Sequence[Rule]) -> None:
    for rule in rules:
        if rule.in_usd and rule.refuses:
            raise BudgetExceeded(
                f"No price is known for this model, and the budget {rule.name or rule.id!r} is in dollars.",
                code="budget_unpriced",
                context={"budget": rule.id},
            )


def _tell(rule: Rule, used: int) -> None:
    """Raise the alert of the highest share that is reached."""
    share = next((share for share in _TOLD if used >= share * rule.limit), None)
    if share is not None:
        raise_alert(
            AlertKind.BUDGET_USED, key=f"{rule.id}:{share:.0%}", budget=rule.id, name=rule.name, tenant=rule.tenant, share=share
        )
