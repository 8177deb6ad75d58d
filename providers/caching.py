"""The response cache: the answer of the same request, or of one that means the same, given again.

An alias says whether (`[models.cache]`), the request's `Cache-Control` header says whether not. What has to be the same: the
tenant, the caller's rights, the alias with all that is configured for it, the messages and the parameters. The same requests at
once share one call, in this process and in all of them. Without Redis every request is answered by its provider.
"""

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk

from core import metrics
from core.cache import Cache
from core.context import CacheUse, RequestContext, current
from core.encryption.keyring import Keyring
from core.errors import DeadlineExceeded, PlatformError
from core.per_loop import PerLoop
from core.policies.retention import RetentionPolicy, keeps_nothing
from core.policies.store import Policies
from core.redis_clients import RedisClients
from core.settings import ModelAlias, Settings
from providers.accounting import enter_kept
from providers.answer_search import Call, Chunks, Keeping, Search, Wish, asked_for, copy_of, digest, wish_of
from providers.likeness import Likeness
from providers.replay import FORM

#: How often a request looks for another's call to share; the last time, after some that came to nothing, it makes its own.
_JOINS: Final = 3


class ResponseCache:
    """One for a process. Before `connect`, and for aliases that keep nothing, there is none."""

    def __init__(self, settings: Settings, likeness: Likeness, policies: Policies) -> None:
        self._settings = settings
        self.policies = policies
        self.likeness = likeness
        self.store: Cache | None = None
        self.most_bytes = settings.cache.answer_bytes
        self._searches: PerLoop[dict[Hashable, Search]] = PerLoop()

    def connect(self, clients: RedisClients, keyring: Keyring | None = None) -> None:
        """Begin to keep answers, sealed with the keyring."""
        self.store = Cache(clients, tenant_bytes=self._settings.cache.tenant_bytes, keyring=keyring)

    def of(self, alias: ModelAlias, label: str) -> "AliasCache | None":
        """The cache of the answers of an alias's version; None where it keeps none. `label` is what the ledger tells it by."""
        return AliasCache(self, alias, self.version(alias), label) if alias.cache.on else None

    def under_way(self) -> dict[Hashable, Search]:
        """The searches on this event loop, by what they share."""
        return self._searches.get(None, dict)

    async def drop(self, tenant: str) -> int:
        """Drop all answers of a tenant; see `core.cache.Cache.drop`."""
        return await self.store.drop(tenant) if self.store is not None else 0

    async def scrub(self) -> None:
        """Have nothing left of dropped answers on the disk; see `core.cache.Cache.scrub`."""
        if self.store is not None:
            await self.store.scrub()

    async def trim(self, tenant: str, policy: RetentionPolicy) -> int:
        """Drop the answers that the tenant's policy lets nobody keep, or not for so long; see `core.cache.Cache.trim`."""
        if self.store is None or (policy.cache_days is None and not policy.none):
            return 0
        if policy.none:
            return await self.store.drop(tenant)
        return await self.store.trim(tenant, (policy.cache_days or 0) * 86_400)

    def version(self, alias: ModelAlias) -> str:
        """A digest of all that is configured for the alias, but for secrets: with a change of it the answers start afresh."""
        providers = {
            deployment.provider: provider.model_dump(mode="json", exclude={"connections"})
            for deployment in alias.deployments
            if (provider := self._settings.providers.get(deployment.provider)) is not None
        }
        local = self._settings.local.model_dump(mode="json", include={"chat_model", "context_tokens"})
        return digest([FORM, alias.model_dump(mode="json"), providers, local]).hex()


class AliasCache:
    """The cache of the answers of one version of an alias."""

    def __init__(self, cache: ResponseCache, alias: ModelAlias, version: str, label: str) -> None:
        self._all = cache
        self._configured = alias
        self._alias, self._settings = alias.alias, alias.cache
        self._version, self._label = version, label

    def apart(self, use: str) -> "AliasCache":
        """The same for another use of the alias, where the same messages are answered otherwise."""
        return AliasCache(self._all, self._configured, f"{self._version}/{use}", self._label)

    def answers(
        self,
        messages: Sequence[BaseMessage],
        parameters: Mapping[str, Any],
        call: Callable[[], Chunks],
        *,
        whole: bool,
        total_s: float,
        limits: Hashable = None,
    ) -> Chunks:
        """The chunks of `call()`, or those of an answer that was kept or is being given to another under the same `limits`.

        With `whole` they come once the answer is whole.
        """
        request = current()
        wish = wish_of(request.cache_control)
        store = self._all.store
        if store is None or not wish.store or not self._may(parameters, wish) or keeps_nothing(self._all.policies, request):
            self._without(request, "bypass")
            return call()
        return self._shared(Call(request, wish, messages, parameters, call, whole, total_s, limits), store)

    def _may(self, parameters: Mapping[str, Any], wish: Wish) -> bool:
        deterministic = parameters.get("temperature") == 0 or parameters.get("seed") is not None
        return deterministic or self._settings.requests == "all" or wish.asked_for

    async def _shared(self, call: Call, store: Cache) -> Chunks:
        request = call.request
        until = asyncio.get_running_loop().time() + call.total_s
        asked = await asked_for(self._version, call)
        if asked is None:
            self._without(request, "bypass")
            async with aclosing(call.make()) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        most_days = self._all.policies.of(request.principal.tenant).retention.cache_days
        ttl_s = min(self._settings.ttl_s, float("inf") if most_days is None else most_days * 86_400)
        keeping = Keeping(store, self._settings, self._all.likeness, self._all.most_bytes, ttl_s)
        for last in (*[False] * (_JOINS - 1), True):
            search, own = self._join(Search(keeping, asked, call, until), alone=last)
            given: list[ChatGenerationChunk] = []
            told, use = False, search.use
            try:
                async with aclosing(search.flight.read(request, until)) as chunks:
                    async for chunk in chunks:
                        if not told:
                            told = True
                            use = search.use if own or search.use == "semantic" else "hit"
                            request.answered_by(use)
                        if call.whole:
                            given.append(chunk)
                        else:
                            yield copy_of(chunk)
            except PlatformError as error:
                mine = own or (told and not call.whole)
                others = isinstance(error, DeadlineExceeded) or error.code == "stream_interrupted"
                others = others or not search.flight.took.attempts  # another was refused, and no provider asked
                if mine or not others:
                    self._without(request, "miss")
                    raise
                continue  # it came to nothing, under the limits of another
            if use == "miss":
                metrics.not_kept(self._alias, use)
            else:
                self._enter(request, search, use)
            for chunk in given:
                yield copy_of(chunk)
            return

    def _without(self, request: RequestContext, use: CacheUse) -> None:
        request.answered_by(use)
        metrics.not_kept(self._alias, use)

    def _enter(self, request: RequestContext, search: Search, use: CacheUse) -> None:
        took = search.flight.took
        cost_usd = took.cost_usd if search.kept is None else search.kept.cost_usd
        enter_kept(request, alias=self._alias, version=self._label, took=took, cost_usd=cost_usd, cache=use)

    def _join(self, search: Search, *, alone: bool) -> tuple[Search, bool]:
        """The search for the same answer that is going on, or this one, begun; and whether it is this one. `alone`: it is."""
        under_way = self._all.under_way()
        name = search.shared_as
        found = under_way.get(name)
        if not alone and found is not None and found.joinable:
            return found, False
        under_way[name] = search
        search.beside = lambda: any(one is not search and one.makes(search) for one in under_way.values())

        def ended(_: object) -> None:
            if under_way.get(name) is search:
                del under_way[name]

        search.start().add_done_callback(ended)
        return search, True
