"""Embeddings of a model on this machine, with an entry in the ledger for each call: they cost nothing, and are used.

What the ledger has of their tokens budgets in tokens count as well. Rate limits do not: there is nobody whose rate it is.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from langchain_core.embeddings import Embeddings

from core import context
from core.bridge import call
from core.context import Usage
from providers.accounting import CANCELLED, ERROR, OK, Account
from providers.prices import FREE
from providers.routing import Route
from providers.served import Served
from providers.spending import Bill, bounded_by_tokens, opened_for_tokens


def is_free(served: Served) -> bool:
    """Whether its calls cost nothing but this machine's time: no operator has set a price for them."""
    return served.provider_name in FREE and not (served.price and served.price.has_contract)


class BookedEmbeddings(Embeddings):
    """Of one deployment that is free, and blocks. Its calls are no attempts that a request's headers tell, and no part of what
    its answer used: the ledger and the budgets alone have them.

    Raises:
        BudgetExceeded, Unavailable: of a budget in tokens.
    """

    def __init__(self, route: Route) -> None:
        self._route = route
        (self._served,) = route.deployments
        self._inner = self._served.provider.embeddings(self._served.model, self._served.timeouts)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if not texts:
            return []
        return call(self.aembed_documents(texts), None) if bounded_by_tokens(self._route) else self._documents(texts, Bill())

    def embed_query(self, text: str) -> list[float]:
        if bounded_by_tokens(self._route):
            return call(self.aembed_query(text), None)
        with self._booked([text], Bill()):
            return self._inner.embed_query(text)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        if not texts:
            return []
        bill = await self._bill(texts)
        work = asyncio.ensure_future(asyncio.to_thread(self._documents, texts, bill))
        work.add_done_callback(lambda _: bill.close())  # a thread goes on to its end, also where nobody waits for it any more
        return await asyncio.shield(work)

    async def aembed_query(self, text: str) -> list[float]:
        bill = await self._bill([text])
        try:
            with self._booked([text], bill):
                return await self._inner.aembed_query(text)
        finally:
            bill.close()

    def _documents(self, texts: list[str], bill: Bill) -> list[list[float]]:
        with self._booked(texts, bill):
            return self._inner.embed_documents(texts)

    async def _bill(self, texts: list[str]) -> Bill:
        if not (rules := bounded_by_tokens(self._route)):
            return Bill()
        return await opened_for_tokens(self._route, rules, await asyncio.to_thread(counted, self._served, texts))

    def _booked(self, texts: list[str], bill: Bill) -> AbstractContextManager[None]:
        return booked(self._served, self._route, bill, lambda: counted(self._served, texts))


@contextmanager
def booked(served: Served, route: Route, bill: Bill, count: Callable[[], int]) -> Iterator[None]:
    """For a block that embeds texts of `count()` tokens: an entry with them, or one that says that it gave nothing."""
    account, status = Account(context.current(), served, route.alias, bill, version=route.version), CANCELLED
    try:
        yield
        account.pay(Usage(input_tokens=count()))
        status = OK
    except Exception:
        status = ERROR
        raise
    finally:
        account.close(status)


def counted(served: Served, texts: list[str]) -> int:
    """Tokens of the texts. Blocking, some 50 µs a text."""
    return sum(served.provider.count_tokens(served.model, text) for text in texts)
