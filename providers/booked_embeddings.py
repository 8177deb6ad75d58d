"""Embeddings of a model on this machine, with an entry in the ledger for each call: they cost nothing, and are used."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from langchain_core.embeddings import Embeddings

from core import context
from core.context import Usage
from providers.accounting import CANCELLED, ERROR, OK, Account
from providers.prices import FREE
from providers.served import Served
from providers.spending import Bill


def is_free(served: Served) -> bool:
    """Whether its calls cost nothing but this machine's time: no operator has set a price for them."""
    return served.provider_name in FREE and not (served.price and served.price.has_contract)


class BookedEmbeddings(Embeddings):
    """Of one deployment that is free, and blocks. Its calls are no attempts that a request's headers tell, and no part of what
    its answer used: the ledger alone has them."""

    def __init__(self, served: Served, alias: str, version: str) -> None:
        self._served, self._alias, self._version = served, alias, version
        self._inner = served.provider.embeddings(served.model, served.timeouts)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if not texts:
            return []
        with booked(self._served, self._alias, self._version, lambda: counted(self._served, texts)):
            return self._inner.embed_documents(texts)

    def embed_query(self, text: str) -> list[float]:
        with booked(self._served, self._alias, self._version, lambda: counted(self._served, [text])):
            return self._inner.embed_query(text)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self.embed_documents, texts)

    async def aembed_query(self, text: str) -> list[float]:
        with booked(self._served, self._alias, self._version, lambda: counted(self._served, [text])):
            return await self._inner.aembed_query(text)


@contextmanager
def booked(served: Served, alias: str, version: str, count: Callable[[], int]) -> Iterator[None]:
    """For a block that embeds texts of `count()` tokens: an entry with them, or one that says that it gave nothing."""
    account, status = Account(context.current(), served, alias, Bill(), version=version), CANCELLED
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
