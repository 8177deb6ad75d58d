"""Embeddings by alias: deployments of one and the same model in order, under one deadline, with what they used recorded."""

import time
from typing import Protocol, runtime_checkable

import structlog
from langchain_core.embeddings import Embeddings

from core import context
from core.bridge import call
from core.context import Usage
from core.errors import ProviderFailed
from providers.attempt import Deadline, Served
from providers.failures import CALLERS_OWN, Failure, understand
from providers.metering import FREE, cost_of

log = structlog.get_logger()


@runtime_checkable
class Metered(Protocol):
    """Embeddings that know what they used."""

    async def aembed_metered(self, texts: list[str]) -> tuple[list[list[float]], int | None]: ...


class FailoverEmbeddings(Embeddings):
    """Moves on to the next deployment on any failure but the caller's own.

    The operator puts under one alias only deployments of one model: vectors of two models do not compare.

    Raises:
        ProviderFailed, DeadlineExceeded, InvalidRequest, Unavailable
    """

    def __init__(self, alias: str, deployments: tuple[Served, ...], total_s: float) -> None:
        self._alias = alias
        self._deployments = deployments
        self._total_s = total_s

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return call(self.aembed_documents(texts), None)

    def embed_query(self, text: str) -> list[float]:
        return call(self.aembed_query(text), None)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return await self._embed(texts, query=False) if texts else []

    async def aembed_query(self, text: str) -> list[float]:
        return (await self._embed([text], query=True))[0]

    async def _embed(self, texts: list[str], *, query: bool) -> list[list[float]]:
        deadline = Deadline.after(self._total_s)
        failures: list[Failure] = []
        for served in self._deployments:
            deadline.check()
            try:
                return await self._call(served, texts, query=query)
            except Exception as error:
                failure = understand(error)
                log.warning(
                    "provider.failed",
                    alias=self._alias,
                    provider=served.provider_name,
                    model=served.name,
                    kind=failure.kind.value,
                )
                if failure.kind in CALLERS_OWN:
                    raise failure.error from error
                failures.append(failure)
        if len(failures) == 1:
            raise failures[0].error
        raise ProviderFailed("No provider of this model gave an answer.")

    async def _call(self, served: Served, texts: list[str], *, query: bool) -> list[list[float]]:
        inner = served.provider.embeddings(served.model, served.timeouts)
        if served.provider_name in FREE:  # no request to count and nothing to pay
            return [await inner.aembed_query(texts[0])] if query else await inner.aembed_documents(texts)
        request = context.current()
        request.attempts += 1
        started = time.perf_counter()
        reported: int | None = None
        if isinstance(inner, Metered):
            vectors, reported = await inner.aembed_metered(texts)
        else:
            vectors = [await inner.aembed_query(texts[0])] if query else await inner.aembed_documents(texts)
        counted = reported if reported is not None else sum(served.provider.count_tokens(served.model, text) for text in texts)
        usage = Usage(input_tokens=counted, estimated=reported is None)
        request.called(
            provider=served.provider_name,
            model=served.name,
            usage=usage,
            cost_usd=cost_of(served.provider_name, served.name, usage),
            seconds=time.perf_counter() - started,
        )
        return vectors
