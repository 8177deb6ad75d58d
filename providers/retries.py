"""Which deployment a request calls next, and whether it may: attempts, pauses, the deadline, and what has failed so far.

A request moves on to deployments that it has not tried first, at once. Only where none is left does it come back to one whose
failure may have been a moment's, after a pause (exponential, full jitter) and out of a budget for all requests together; not
once a model has refused the content: then other models are asked once each, and the refusal is told. Where
all breakers are open it makes one call, of the deployment that was left alone for longest: an answer is worth a try.
"""

import asyncio
import random
import time
from typing import Any

from langchain_core.messages import BaseMessage

from core.context import current
from core.errors import ContentRefused, Killed, PlatformError, ProviderFailed, RateLimited, UnsupportedFeature
from core.settings import RetrySettings
from core.tries import Tries
from providers.breaker import Lease
from providers.failures import CALLERS_OWN, HARMLESS, REPEATS, Failure, Kind
from providers.form_by_tool import by_tool
from providers.parameters import missing
from providers.routing import Demand, Route, bare_model
from providers.served import Deadline, Served, failed_last

#: Seconds that a pause has at least: nobody calls in a tight loop, whatever the dice say.
SHORTEST_PAUSE_S = 0.02
#: Seconds that a caller is told to wait where no provider of the model said how long.
_UNTOLD_S = 1.0


def retry_pause_s(retries: RetrySettings, rounds: int) -> float:
    """Seconds before a deployment is called again after so many pauses: exponential, with full jitter."""
    return random.uniform(SHORTEST_PAUSE_S, retries.pause_s * 2**rounds)  # noqa: S311 - no secret


class Candidates:
    """Of one model call. Ask for the `next` one, call it, and report with `failed`, until there is none or one answered.

    What it may try depends on what the other steps of the same answer have tried, too (see `core.tries`).
    """

    __slots__ = (
        "_answer",
        "_attempts",
        "_continuing",
        "_deadline",
        "_demand",
        "_failed",
        "_failures",
        "_last",
        "_messages",
        "_order",
        "_parameters",
        "_refused",
        "_rounds",
        "_route",
        "_too_small",
        "_tries",
        "_writer",
    )

    def __init__(self, route: Route, messages: list[BaseMessage], parameters: dict[str, Any], deadline: Deadline) -> None:
        self._route = route
        self._messages, self._parameters = messages, parameters
        self._deadline = deadline
        self._answer = current().tries or Tries()
        self._demand = Demand.of(messages, parameters.get("max_tokens"))
        self._order: list[Served] | None = None
        self._failed: dict[Served, Failure] = {}
        self._tries: dict[Served, int] = {}
        self._failures: list[Failure] = []
        self._attempts = self._rounds = 0
        self._too_small: int | None = None
        self._continuing = self._last = self._refused = False
        self._writer: str | None = None
        route.budget.earn()

    @property
    def tokens(self) -> int:
        """What a call is taken to use."""
        return self._demand.tokens

    @property
    def last(self) -> Failure | None:
        """What failed last."""
        return self._failures[-1] if self._failures else None

    async def next(self) -> Served | None:
        """The deployment to call now; its limits are taken from. May wait.

        Raises:
            DeadlineExceeded
        """
        self._deadline.check()
        most = self._route.retries.attempts
        if self._last or self._attempts >= most or (self._attempts and not self._answer.may_go_on(most)):
            return None
        now = time.monotonic()
        if self._order is None:
            self._order = self._able(now)
        self._route.touch()
        served = self._untried(now) or self._of_the_open(now)
        if served is None and self._is_full_elsewhere():  # by what was heard a moment ago
            await self._route.hear()
            now = time.monotonic()
            served = self._untried(now) or self._of_the_open(now)
        served = served or await self._waited_for(now)
        if served is not None:
            self._attempts += 1
        return served

    def failed(self, served: Served, failure: Failure) -> None:
        """What came of the call. A failure of the caller's own making ends the request where no other model could do better."""
        self._failures.append(failure)
        self._answer.note(served.standing, ill=failure.kind not in HARMLESS)
        self._failed[served] = failure
        self._tries[served] = self._tries.get(served, 0) + 1
        self._route.touch(urgent=True)
        if self._continuing:
            return
        if failure.kind is Kind.REQUEST:
            self._last = True
        elif failure.kind is Kind.CONTENT:
            self._refused = True
            name = bare_model(served.model)
            self._order = [each for each in self._order or () if bare_model(each.model) != name]
        elif failure.kind is Kind.CONTEXT:
            self._larger_than(served)

    def go_on(self, writer: Served) -> None:
        """From now on only deployments count that serve the request and take up an answer which `writer` has begun, who may be
        one. What a tool's call gives begins anew, and a model that has refused the content does so again."""
        self._continuing = True
        self._writer = self._writer or bare_model(writer.model)
        refusing = {bare_model(served.model) for served, failure in self._failed.items() if failure.kind is Kind.CONTENT}
        self._order = self._fitting(
            [
                served
                for served in self._route.deployments
                if served.facts.prefill
                and self._lacking(served) is None
                and not by_tool(served.facts, self._parameters)
                and bare_model(served.model) not in refusing
            ]
        )

    def has_other(self, served: Served) -> bool:
        """Whether another deployment than the one that was given last could be called at once."""
        now = time.monotonic()
        others = (each for each in self._order or () if each is not served and each not in self._failed)
        return any(
            each.standing.breaker.closed and each.standing.held_until <= now and self._has_room(each, now) for each in others
        )

    def written_by(self, served: Served) -> bool:
        """Whether the answer was begun by the same model."""
        return self._writer == bare_model(served.model)

    def spend(self, served: Served) -> bool:
        """Whether one more call may be made, of the deployment that was given last; it is taken from its limits."""
        if self._attempts >= self._route.retries.attempts:
            return False
        self._attempts += 1
        self._taken(served, time.monotonic())
        return True

    def pass_over(self, served: Served) -> None:
        """The deployment that was given last is not called after all."""
        self._attempts -= 1
        self._tries[served] = self._tries.get(served, 0) + 1
        self._failed.setdefault(served, Failure(Kind.DECLINED, ProviderFailed("The answer cannot be continued here.")))
        if served.standing.capacity is not None:
            served.standing.capacity.correct(-self._demand.tokens, time.monotonic())

    def outcome(self) -> PlatformError:
        """The error of a request that has no candidate left."""
        failures = [failure for failure in self._failures if failure.kind is not Kind.UNSUPPORTED] or self._failures
        last = failures[-1]
        if last.kind is Kind.CONTEXT and (ill := self._ill_and_larger()) is not None:
            last = ill  # the request would fit there
        refused = next((failure.error for failure in failures if isinstance(failure.error, ContentRefused)), None)
        if refused is not None or last.kind in CALLERS_OWN or all(failure.kind is Kind.DECLINED for failure in failures):
            return refused or last.error
        if isinstance(last.error, Killed):
            return last.error
        if all(failure.kind is Kind.RATE for failure in failures):
            waits = [failure.retry_after_s for failure in failures if failure.retry_after_s is not None]
            last.error.retry_after_s = min(waits, default=_UNTOLD_S)
            return last.error
        if all(failure.kind is Kind.UNAVAILABLE for failure in failures):
            return last.error
        reasons = [failure.kind.value for failure in failures]
        return ProviderFailed("No provider of this model gave an answer.", context={"reasons": reasons})

    def _ill_and_larger(self) -> Failure | None:
        """What went wrong with a deployment whose window may hold what was too long for another; None where there is none."""
        found = (each for each in self._order or () if each in self._failed and self._failed[each].kind in REPEATS)
        return next((self._failed[each] for each in found), None) if self._too_small is not None else None

    def _able(self, now: float) -> list[Served]:
        """The deployments that can serve the request, in the order of the alias."""
        able = []
        for served in failed_last(self._route.order(self._demand, now), self._answer):
            if lacking := self._lacking(served):
                self._failures.append(Failure(Kind.UNSUPPORTED, lacking))
            else:
                able.append(served)
        return self._fitting(able)

    def _lacking(self, served: Served) -> UnsupportedFeature | None:
        """What the request asks for and the deployment has not."""
        return missing(served.facts, self._parameters, self._messages)

    def _fitting(self, able: list[Served]) -> list[Served]:
        """Those whose context is known to hold the request, or may do; all where there is none."""
        return [served for served in able if self._demand.fits(served.facts.context_tokens)] or able

    def _larger_than(self, served: Served) -> None:
        """After a prompt that was too long: one more deployment, of the largest window that is known to be larger, else of an
        unknown one. One whose failure may have been a moment's is asked again."""
        window = served.facts.context_tokens or 0
        others = [each for each in self._order or () if each is not served and self._may_answer(each)]
        larger = [each for each in others if (each.facts.context_tokens or 0) > window]
        unknown = [each for each in others if each.facts.context_tokens is None]
        if self._too_small is not None:
            self._last = True
        self._too_small = window
        self._order = sorted(larger, key=lambda each: each.facts.context_tokens or 0, reverse=True) + unknown

    def _may_answer(self, served: Served) -> bool:
        """Whether it has not failed, or may be asked again."""
        failure = self._failed.get(served)
        return failure is None or self._tries[served] <= REPEATS.get(failure.kind, 0)

    def _untried(self, now: float) -> Served | None:
        for served in self._order or ():
            standing = served.standing
            if served in self._failed or standing.held_until > now:
                continue
            if not self._has_room(served, now):
                continue
            if not standing.breaker.closed and not standing.breaker.take_probe(now):
                if standing.breaker.lease is Lease.WANTED:
                    self._route.touch(urgent=True)
                continue
            return self._taken(served, now)
        return None

    def _of_the_open(self, now: float) -> Served | None:
        """Where nothing was called yet: the one of those with open breakers that was left alone for longest."""
        if self._attempts:
            return None
        closed_up = [
            served
            for served in self._order or ()
            if not served.standing.breaker.closed and served.standing.held_until <= now and self._has_room(served, now)
        ]
        if not closed_up:
            return None
        self._last = True
        served = min(closed_up, key=lambda each: each.standing.breaker.left_alone_since)
        served.standing.breaker.try_in_need(now)
        return self._taken(served, now)

    async def _waited_for(self, now: float) -> Served | None:
        """One that may be called after a pause: again, or because its provider asked to be left in peace."""
        waits = [(wait, served) for served in self._order or () if (wait := self._wait_s(served, now)) is not None]
        wait, served = min(waits, key=lambda each: each[0], default=(0.0, None))
        if served is None or wait > self._deadline.remaining or wait > self._route.retries.longest_pause_s:
            self._give_up(now)
            return None
        if served in self._failed:
            may_repeat = self._answer.may_go_on(self._route.retries.attempts)
            if not may_repeat or not self._route.budget.spend():
                self._give_up(now)
                return None
        self._rounds += 1
        await asyncio.sleep(wait)
        now = time.monotonic()
        if served.standing.held_until > now or not self._has_room(served, now):  # others were told to wait meanwhile
            self._give_up(now)
            return None
        return self._taken(served, now)

    def _wait_s(self, served: Served, now: float) -> float | None:
        """Seconds until the deployment may be called (again), None where it may not."""
        standing = served.standing
        failure = self._failed.get(served)
        if not standing.breaker.closed or not self._has_room(served, now):
            return None
        if failure is not None and (self._refused or self._tries[served] > REPEATS.get(failure.kind, 0)):
            return None
        if failure is not None and failure.kind is Kind.TIMEOUT and self._answer.spares:
            return None  # silence has cost its limit once: the rest of the time is for what the answer cannot do without
        if failure is not None and failure.kind is Kind.RATE and failure.error.code != RateLimited.code:
            return None  # our own queue is full: it says so at once
        retries = self._route.retries
        asked_for = (failure.retry_after_s or 0.0) if failure else 0.0
        return float(max(standing.held_s(now), asked_for) + retry_pause_s(retries, self._rounds))

    def _give_up(self, now: float) -> None:
        """No candidate is left; those that were never called leave their reason."""
        for served in self._order or ():
            if served in self._failed:
                continue
            wait = served.standing.held_s(now) or self._room_in_s(served, now)
            if wait and served.standing.last_error not in (None, Kind.RATE) and served.standing.held_s(now):
                down = ProviderFailed("The provider is down and has said for how long.", retry_after_s=wait)
                self._failures.append(Failure(Kind.UNAVAILABLE, down, wait))
            elif wait:
                limited = RateLimited("The provider's rate of requests is used up.", retry_after_s=wait)
                self._failures.append(Failure(Kind.RATE, limited, wait))
        if not self._failures:
            self._failures.append(Failure(Kind.UNAVAILABLE, ProviderFailed("No provider of this model can be called now.")))

    def _is_full_elsewhere(self) -> bool:
        standings = (served.standing for served in self._order or () if served not in self._failed)
        return any(each.capacity is not None and each.capacity.is_full_elsewhere(each.in_flight) for each in standings)

    def _has_room(self, served: Served, now: float) -> bool:
        return served.standing.capacity is None or self._room_in_s(served, now) == 0

    def _room_in_s(self, served: Served, now: float) -> float:
        standing = served.standing
        if standing.capacity is None:
            return 0.0
        return standing.capacity.wait_s(self._demand.tokens, standing.in_flight, now)

    def _taken(self, served: Served, now: float) -> Served:
        if served.standing.capacity is not None:
            served.standing.capacity.take(self._demand.tokens, now)
            self._route.touch(urgent=True)
        return served
