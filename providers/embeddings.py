"""Embeddings by alias: deployments of one and the same model in order, under one deadline, with what they used recorded."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import structlog
from langchain_core.embeddings import Embeddings
from langchain_core.exceptions import ModelAPIError

from core import context
from core.alerts import AlertKind, raise_alert
from core.bridge import call
from core.context import Usage
from core.errors import Killed, ProviderFailed, RateLimited
from core.policies.policy import Place
from core.tries import Tries
from providers.accounting import CANCELLED, OK, Account
from providers.alarms import alarm, exhausted, relieve
from providers.booked_embeddings import booked, counted, is_free
from providers.failures import CALLERS_OWN, HARMLESS, REPEATS, Failure, Kind, understand
from providers.privacy import protected_texts
from providers.retries import retry_pause_s
from providers.routing import CHARACTERS_A_TOKEN, Route
from providers.served import Deadline, Served, failed_last
from providers.spending import Bill, opened_for_texts

log = structlog.get_logger()

#: The capability of `/v1/embeddings`.
EMBEDDINGS = "embeddings"
#: Texts that a deployment embeds within its first-token limit; for so many more it has that limit again.
TEXTS_A_LIMIT = 16


class WrongDimension(ModelAPIError):
    """Vectors of another length than the alias has given so far: they are another model's."""


@runtime_checkable
class Metered(Protocol):
    """Embeddings that know what they used."""

    async def aembed_metered(self, texts: list[str]) -> tuple[list[list[float]], int | None]: ...


class FailoverTexts:
    """Calls that turn texts into lists of numbers. Moves on to the next deployment on any failure but the caller's own.

    How often, and after which pauses, a deployment is asked again is as for chat models. A query is given up after
    `first_token` seconds at a deployment, texts after as long for each `TEXTS_A_LIMIT`; a query does not wait for a deployment
    whose breaker is open, so that a search can do without in time.

    Raises:
        ProviderFailed, DeadlineExceeded, InvalidRequest, RateLimited, Unavailable
    """

    def __init__(self, route: Route) -> None:
        self._route = route
        self._alias = route.alias
        self._touch = route.touch  # has what changed be told to other processes

    async def _asked(self, served: Served, texts: list[str], *, query: bool) -> tuple[list[list[float]], int | None]:
        """What a deployment gives for the texts, and the tokens that it reports, None where it reports none."""
        raise NotImplementedError

    def _check(self, served: Served, vectors: Sequence[Sequence[float]]) -> None:
        """Refuse what is no answer.

        Raises:
            ModelAPIError
        """

    async def _embed(self, texts: list[str], *, query: bool) -> list[list[float]]:
        self._touch()
        answer = context.current().tries or Tries()
        deployments = failed_last(self._route.within_policy().deployments, answer)
        texts = await self._protected(deployments, texts, query=query)
        deadline = context.current().due(self._route.total_s)
        tokens = sum(map(len, texts)) // CHARACTERS_A_TOKEN
        self._route.budget.earn()
        bill = await opened_for_texts(self._route, deployments, texts)
        try:
            return await self._first_of(answer, deployments, texts, tokens, deadline, bill, query=query)
        finally:
            bill.close()

    async def _first_of(
        self,
        answer: Tries,
        deployments: Sequence[Served],
        texts: list[str],
        tokens: int,
        deadline: Deadline,
        bill: Bill,
        *,
        query: bool,
    ) -> list[list[float]]:
        """The vectors of the first deployment that gives them."""
        failures: dict[int, Failure] = {}  # by the place of the deployment
        tries: dict[int, int] = {}
        retries, calls, rounds = self._route.retries, 0, 0
        while calls < retries.attempts and (order := list(_order(deployments, failures, tries, tokens, query=query))):
            if rounds:
                pause_s = min(retry_pause_s(retries, rounds - 1), retries.longest_pause_s)
                await asyncio.sleep(min(pause_s, max(deadline.remaining, 0)))
            for number, place in enumerate(order):
                deadline.check()
                repeats = place in tries
                may = answer.may_go_on(retries.attempts)
                if calls >= retries.attempts or (calls and not may) or (repeats and not self._route.budget.spend()):
                    calls = retries.attempts
                    break
                calls += 1
                tries[place] = tries.get(place, 0) + 1
                served = deployments[place]
                await bill.make_room_for_texts(served, texts)
                try:
                    self._route.check(served)
                    await _turn(served, tokens, deadline)
                    share_s = deadline.remaining / (1 if query else len(order) - number)
                    limit_s = min(_limit_s(served, texts, query=query), share_s)
                    return await self._attempt(served, texts, tokens, bill, query=query, limit_s=limit_s)
                except Exception as error:  # noqa: BLE001 - what is no provider's failure is raised again
                    deadline.check()
                    failures[place] = self._understood(served, error)
                    answer.note(served.standing, ill=True)
            rounds += 1
        exhausted(self._alias, deployments)
        errors = [failure.error for failure in failures.values()]
        if errors and (len(deployments) == 1 or all(isinstance(error, Killed) for error in errors)):
            raise errors[0]
        raise ProviderFailed("No provider of this model gave an answer.")

    async def _protected(self, deployments: Sequence[Served], texts: list[str], *, query: bool) -> list[str]:
        """The texts as they may leave this machine. Those of `/v1/embeddings` have been seen to."""
        if context.current().capability == EMBEDDINGS or all(served.here for served in deployments):
            return texts
        return await protected_texts(self._route.privacy, texts, Place.PROMPTS if query else Place.RETRIEVED)

    def _understood(self, served: Served, error: Exception) -> Failure:
        """What the failure means. Raises the error that is the caller's own."""
        failure = understand(error)
        log.warning(
            "provider.failed", alias=self._alias, provider=served.provider_name, model=served.name, kind=failure.kind.value
        )
        if failure.kind in CALLERS_OWN:
            raise failure.error from error
        return failure

    async def _attempt(
        self, served: Served, texts: list[str], tokens: int, bill: Bill, *, query: bool, limit_s: float
    ) -> list[list[float]]:
        """One call, with what it says of the deployment."""
        standing, started = served.standing, time.monotonic()
        standing.begun()
        if standing.capacity is not None:
            standing.capacity.take(tokens, started)
        try:
            vectors = await self._call(served, texts, bill, query=query, limit_s=max(limit_s, 0))
        except Exception as error:
            failure = understand(error)
            if failure.kind is Kind.RATE:
                standing.limited(started, failure.retry_after_s)
            elif failure.kind in HARMLESS:
                standing.abandoned(started, failure.kind)
            else:
                standing.failed(started, failure.kind, failure.retry_after_s)
            alarm(served, failure)
            self._touch(urgent=True)
            raise
        except BaseException:
            standing.abandoned(started)
            raise
        standing.succeeded(started, None)
        relieve(served, self._alias)
        return vectors

    async def _call(self, served: Served, texts: list[str], bill: Bill, *, query: bool, limit_s: float) -> list[list[float]]:
        if is_free(served):  # no request to count and nothing to pay
            tokens = await asyncio.to_thread(counted, served, texts)
            with booked(served, self._route, bill, lambda: tokens):
                async with asyncio.timeout(limit_s):
                    vectors, _ = await self._asked(served, texts, query=query)
                self._check(served, vectors)
            return vectors
        request = context.current()
        if request.before_call is not None:
            await request.before_call()
        request.attempts += 1
        account = Account(request, served, self._alias, bill, version=self._route.version)
        try:
            async with asyncio.timeout(limit_s):
                vectors, reported = await self._asked(served, texts, query=query)
            tokens = counted(served, texts) if reported is None else reported
            account.pay(Usage(input_tokens=tokens, estimated=reported is None))
            self._check(served, vectors)
        except Exception as error:
            kind = understand(error).kind.value
            account.give_up(kind)
            account.close(kind)
            raise
        except BaseException:
            account.close(CANCELLED)
            raise
        account.give()
        account.close(OK)
        return vectors


class FailoverEmbeddings(FailoverTexts, Embeddings):
    """All deployments serve one model: vectors of two models do not compare. The settings see to it by name, and the vectors'
    length is held to that of the first answer."""

    def __init__(self, route: Route) -> None:
        super().__init__(route)
        self._dimension: int | None = None

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return call(self.aembed_documents(texts), None)

    def embed_query(self, text: str) -> list[float]:
        return call(self.aembed_query(text), None)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        with context.sparing():
            return await self._embed(texts, query=False) if texts else []

    async def aembed_query(self, text: str) -> list[float]:
        with context.sparing():
            return (await self._embed([text], query=True))[0]

    async def aembed_metered(self, texts: list[str]) -> tuple[list[list[float]], int | None]:
        """The vectors, and None: what was used is in the request's context."""
        return await self.aembed_documents(texts), None

    async def _asked(self, served: Served, texts: list[str], *, query: bool) -> tuple[list[list[float]], int | None]:
        inner = served.provider.embeddings(served.model, served.timeouts)
        if isinstance(inner, Metered):
            return await inner.aembed_metered(texts)
        return [await inner.aembed_query(texts[0])] if query else await inner.aembed_documents(texts), None

    def _check(self, served: Served, vectors: Sequence[Sequence[float]]) -> None:
        """Hold the vectors' length to that of the alias's first answer."""
        for vector in vectors:
            if len(vector) == 0:
                raise ModelAPIError("a vector without numbers")
            self._dimension = self._dimension or len(vector)
            if len(vector) != self._dimension:
                facts = {"provider": served.provider_name, "model": served.name}
                raise_alert(AlertKind.EMBEDDING_MISMATCH, key=f"{self._alias}:{served.provider_name}/{served.model}", **facts)
                raise WrongDimension(f"{len(vector)} numbers in a vector rather than {self._dimension}")


def _order(
    deployments: Sequence[Served], failures: dict[int, Failure], tries: dict[int, int], tokens: int, *, query: bool
) -> Iterator[int]:
    """Places of those that are well, or else of one whose turn it is to show that it is again. Documents, which can wait,
    are taken to all others where there is nothing better."""
    now = time.monotonic()
    left = [
        (place, served)
        for place, served in enumerate(deployments)
        if place not in failures or _may_repeat(failures[place].kind, tries[place], query=query)
    ]
    well = [place for place, served in left if served.standing.breaker.closed and _busy_s(served, tokens, now) == 0]
    if well:
        yield from well
        return
    trying = next((place for place, served in left if served.standing.breaker.take_probe(now)), None)
    if trying is not None:
        yield trying
    if not query:
        yield from (place for place, _ in left if place != trying)


def _limit_s(served: Served, texts: list[str], *, query: bool) -> float:
    """Seconds that a deployment has for the texts."""
    first_token = served.timeouts.first_token
    return first_token if query else first_token * -(-len(texts) // TEXTS_A_LIMIT)


def _may_repeat(kind: Kind, tries: int, *, query: bool) -> bool:
    """A search can do without vectors: its query is not taken again to a deployment that was silent."""
    return tries <= REPEATS.get(kind, 0) and not (query and kind is Kind.TIMEOUT)


def _busy_s(served: Served, tokens: int, now: float) -> float:
    """Seconds until so many tokens may be sent: by its limits, and by what the provider asked for."""
    standing = served.standing
    full = standing.capacity.wait_s(tokens, standing.in_flight, now) if standing.capacity is not None else 0.0
    return max(full, standing.held_s(now))


async def _turn(served: Served, tokens: int, deadline: Deadline) -> None:
    """Wait until the deployment may be sent so many tokens.

    Raises:
        RateLimited: that is after the deadline.
    """
    while (wait := _busy_s(served, tokens, time.monotonic())) > 0:
        if wait > deadline.remaining:
            raise RateLimited("The embedding model is at its rate limit.", retry_after_s=wait)
        await asyncio.sleep(wait)
