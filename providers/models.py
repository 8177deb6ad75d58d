"""The models of this installation, by the aliases that callers use."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar, cast

import structlog
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable

from core.budgets import Budgets
from core.context import current
from core.encryption.keyring import Keyring
from core.epoch import Watcher
from core.errors import NotFound, PlatformError
from core.kill_switches.switches import KillSwitches
from core.policies.privacy import Privacy
from core.policies.store import Policies
from core.redis_clients import RedisClients
from core.settings import Deployment, ModelAlias, ProviderSettings, Settings
from core.tables import KillKind
from providers import PROVIDERS
from providers.accounts import Accounts
from providers.base import ModelFacts, Provider, TakesTurns
from providers.booked_embeddings import BookedEmbeddings, is_free
from providers.caching import ResponseCache, short_version
from providers.capacity import Capacity, Limits
from providers.completion import Completion
from providers.embeddings import FailoverEmbeddings
from providers.experiments import Experiments
from providers.failover import FailoverChatModel
from providers.likeness import Likeness
from providers.local import LocalProvider
from providers.local_embeddings import MAX_TOKENS, LocalEmbeddings
from providers.outward import refuse_plain_address
from providers.places import admitted, is_here, region_of
from providers.prices import FREE, Price
from providers.prices import load as load_prices
from providers.probing import Prober
from providers.reranking import FailoverReranker
from providers.retry_budget import RetryBudget
from providers.routing import Route
from providers.running import is_stopped
from providers.served import Served
from providers.sharing import Sharing
from providers.standing import Standing
from providers.wire import Connected, Connections

log = structlog.get_logger()

DEFAULT = "default"
EMBEDDINGS = "embeddings"
LOCAL = "local"

T = TypeVar("T")


class Models:
    """Built once a process and shared by all of its threads and event loops. Cheap: models load at first use or by `warm`.

    Raises:
        SettingsError: a deployment names an unknown provider, or a provider cannot be built from its settings.
    """

    def __init__(self, settings: Settings, policies: Policies | None = None) -> None:
        self.settings = settings
        #: What tenants have decided, and what finds personal data by it. Every model call goes by both.
        self.policies = policies or Policies(settings.policies.policy(settings.retention.policy()))
        self.privacy = Privacy(self.policies, most_characters=settings.privacy.max_characters)
        #: What administrators have switched off.
        self.kills = KillSwitches()
        self.budgets = Budgets(settings)
        #: Which version of an alias an experiment gives a request.
        self.experiments = Experiments()
        self._providers: dict[str, Provider] = {}
        self._standings: dict[tuple[str, str], Standing] = {}
        self._aliases = {alias.alias: alias for alias in settings.aliases}
        self._served = {name: tuple(map(self._serve, alias.deployments)) for name, alias in self._aliases.items()}
        shared = (standing for (provider, _), standing in self._standings.items() if provider not in FREE)
        self._sharing = Sharing(shared, settings.breaker.probe_s)
        #: Providers as they are called with credentials that are kept at run time.
        self.accounts = Accounts(settings, self._sharing)
        #: Keeps all of these as the database has them; the quick ones first.
        self.changes = Watcher(
            self.kills.load, self.policies.load, self.budgets.load, self.experiments.load, self.accounts.load
        )
        self._budget = RetryBudget(settings.retries.share)
        self.prober = Prober((served for some in self._served.values() for served in some), settings.probes)
        #: The answers that are given again; none before `connect`.
        self.answers = ResponseCache(settings, Likeness(self.comparing, MAX_TOKENS), self.policies)
        self._versions = {name: short_version(self.answers.version(alias)) for name, alias in self._aliases.items()}
        self._built: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    def connect(self, clients: RedisClients, keyring: Keyring | None = None) -> None:
        """Share breakers, rate limits and kept answers, which the keyring seals, with the other processes that are connected to
        this server. Without it everything goes on."""
        self._sharing.connect(clients)
        self.answers.connect(clients, keyring)
        self.budgets.connect(clients)

    async def listen(self) -> None:
        """Go by what the other processes find out of deployments while no request asks, too: until cancelled."""
        await self._sharing.listen()

    def chat(self, alias: str | None = None) -> BaseChatModel:
        """The chat model behind an alias; None is `default`.

        Raises:
            NotFound: code `model_not_found`: there is no such alias, or it is no chat model.
        """
        found = self._find(alias or DEFAULT, "chat")
        return self._once(
            "chat",
            found.alias,
            lambda: FailoverChatModel(route=self._route(found), kept=self.answers.of(found)),
        )

    def completion(self, alias: str | None = None) -> Runnable[dict[str, Any], str]:
        """Continues a text: see `providers.completion`. Raises as `chat` does."""
        found = self._find(alias or DEFAULT, "chat")
        return self._once(
            "completion",
            found.alias,
            lambda: Completion(self._route(found), kept=self.answers.of(found)),
        )

    def _route(self, alias: ModelAlias) -> Route:
        return Route(
            alias=alias.alias,
            deployments=self._served[alias.alias],
            total_s=self.settings.timeouts.total,
            version=self._versions[alias.alias],
            strategy=alias.strategy,
            retries=self.settings.retries,
            budget=self._budget,
            touch=self._sharing.touch,
            hear=self._sharing.hear,
            policies=self.policies,
            kills=self.kills,
            accounts=self.accounts,
            privacy=self.privacy,
            budgets=self.budgets,
            elsewhere=lambda name: self._route(self._find(name, "chat")),
        )

    def embeddings(self, alias: str = EMBEDDINGS) -> Embeddings:
        """Embeddings whose synchronous methods work from any thread and whose asynchronous ones on any loop.

        Raises:
            NotFound: code `model_not_found`.
            Killed, Unavailable, DataPolicyRefused: as `Route.within_policy` says.
        """
        found = self._find(alias, "embeddings")
        self._route(found).within_policy()
        return self._once("embeddings", alias, lambda: self._embeddings(found))

    def _embeddings(self, alias: ModelAlias) -> Embeddings:
        served = self._served[alias.alias]
        if len(served) == 1 and is_free(served[0]):
            return BookedEmbeddings(self._route(alias))
        return FailoverEmbeddings(self._route(alias))

    def reranker(self, alias: str) -> FailoverReranker:
        """Says how well texts answer a query. Raises as `embeddings` does."""
        found = self._find(alias, "rerank")
        self._route(found).within_policy()
        return self._once("rerank", alias, lambda: FailoverReranker(self._route(found)))

    def embedding_name(self, alias: str = EMBEDDINGS) -> str:
        """Which vectors an alias gives, for what is kept beside them: "local/all-MiniLM-L6-v2", or what `serves` says."""
        found = self._find(alias, "embeddings").deployments[0]
        return found.serves or f"{found.provider}/{found.model}"

    def embedding_tokens(self, text: str, alias: str = EMBEDDINGS) -> list[tuple[int, int]]:
        """Offsets in characters of the embedding model's tokens, to split by; estimated for a remote model."""
        served = self._served[self._find(alias, "embeddings").alias][0]
        if isinstance(served.provider, LocalProvider):
            return served.provider.embedding_tokens(text)
        from providers.tokens import pieces

        return pieces(text)

    def count_tokens(self, text: str, alias: str | None = None) -> int:
        """Tokens of a text for the first deployment of an alias of any kind; exact for the bundled models. Blocking, short."""
        served = self._first(alias)
        return served.provider.count_tokens(served.model, text)

    def facts(self, alias: str | None = None, *, images: bool | None = None) -> ModelFacts:
        """What the first deployment that may see the request's data can do, since it answers as long as it is well.

        With `images`, the first of those that see (True) or do not (False), and the first of all where there is none.

        Raises:
            NotFound: code `model_not_found`.
        """
        first = self._first(alias)
        able = admitted(self.policies, self._served[alias or DEFAULT]) or (first,)
        return next((served for served in able if images in (None, served.facts.images)), able[0]).facts

    def sees(self, alias: str | None = None) -> bool:
        """Whether an alias has a deployment that takes pictures, be it called for this request or not.

        Raises:
            NotFound: code `model_not_found`.
        """
        self._first(alias)
        return any(served.facts.images for served in self._served[alias or DEFAULT])

    def _first(self, alias: str | None) -> Served:
        name = alias or DEFAULT
        if name not in self._aliases:
            raise _no_such_model(name)
        return self._served[name][0]

    async def warm(self, *, local: bool) -> None:
        """Load the local models, or what the other providers need (their packages take seconds to import), one after the other.

        What cannot be loaded is logged and told by `states`.
        """
        if not local and any(served.provider_name not in FREE for some in self._served.values() for served in some):
            await asyncio.to_thread(load_prices)
        every = (each for some in self._served.values() for each in some)
        for served in {(each.provider_name, each.model, each.timeouts): each for each in every}.values():
            if (served.provider_name == LOCAL) is not local or served.bare:
                continue
            try:
                await served.provider.warm(served.model, served.timeouts)
            except Exception as error:  # noqa: BLE001 - it keeps no other from being loaded
                reason = error.message if isinstance(error, PlatformError) else type(error).__name__
                log.warning("model.not_warm", provider=served.provider_name, model=served.name, reason=reason)

    def states(self) -> list[dict[str, Any]]:
        """Each alias with its deployments and how they stand, from memory. What is switched off for the request's tenant is
        `killed`."""
        return [
            {"alias": name, "kind": alias.kind, "deployments": [self._state(name, served) for served in self._served[name]]}
            for name, alias in self._aliases.items()
        ]

    def is_killed(self, alias: str, served: Served | None = None) -> bool:
        """Whether a deployment of an alias, or all of them, is switched off for the request's tenant."""
        if self.kills.none:
            return False
        tenant, some = current().principal.tenant, self._served.get(alias, ())
        if self.kills.stops_tenant(tenant) or self.kills.stops_alias(tenant, alias):
            return True
        return all(is_stopped(self.kills, tenant, each) for each in ((served,) if served else some))

    def _state(self, alias: str, served: Served) -> dict[str, Any]:
        told = _state(served)
        return told | {"state": "killed", "detail": "switched off"} if self.is_killed(alias, served) else told

    def health(self) -> list[dict[str, Any]]:
        """Each alias with its deployments: breaker, latency, calls in flight and the last error, as this process knows them."""
        return [
            {
                "alias": name,
                "kind": alias.kind,
                "strategy": alias.strategy,
                "deployments": [
                    {"provider": served.provider_name, "model": served.name, **served.standing.told()}
                    for served in self._served[name]
                ],
            }
            for name, alias in self._aliases.items()
        ]

    def connections(self) -> Iterator[tuple[str, Connections]]:
        """How the platform's own connections to each provider are used."""
        for name, provider in list(self._providers.items()):
            if isinstance(provider, Connected) and (use := provider.connections()) is not None:
                yield name, use

    def catalogue(self) -> Iterator[tuple[ModelAlias, Route]]:
        """Each alias that the request's principal may use, as it is configured, with its deployments in the same order."""
        for alias in self._aliases.values():
            if current().principal.may_use_model(alias.alias):
                yield alias, self._route(alias)

    async def close(self) -> None:
        """Stop what the providers run, and close their connections."""
        await self._sharing.close()
        await self.accounts.close()
        self.budgets.close()
        await asyncio.gather(*(provider.close() for provider in self._providers.values()))

    def _find(self, name: str, kind: str) -> ModelAlias:
        alias = self._aliases.get(name)
        if alias is None or alias.kind != kind:
            raise _no_such_model(name)
        return alias

    def comparing(self) -> LocalEmbeddings:
        """The bundled embedding model, whatever the alias of embeddings is: comparing messages sends them nowhere."""
        provider = self._provider(LOCAL)
        model = provider.embeddings(self.settings.local.embedding_model, self.settings.timeouts)
        return cast("LocalEmbeddings", model)

    def _once(self, use: str, alias: str, build: Callable[[], T]) -> T:
        with self._lock:
            if (use, alias) not in self._built:
                self._built[use, alias] = build()
            built: T = self._built[use, alias]
            return built

    def _serve(self, deployment: Deployment) -> Served:
        provider, configured = self._provider(deployment.provider), self.settings.providers.get(deployment.provider)
        if isinstance(provider, LocalProvider):
            provider.check(deployment.model)
        timeouts = deployment.timeouts
        if timeouts is None:
            timeouts = self.settings.timeouts
            timeouts = provider.patient(timeouts) if isinstance(provider, TakesTurns) else timeouts
        facts = provider.facts(deployment.model)
        return Served(
            provider_name=deployment.provider,
            provider=provider,
            model=deployment.model,
            timeouts=timeouts,
            facts=replace(facts, **deployment.known_facts),
            price=self._price(deployment),
            standing=self._standing(deployment),
            weight=deployment.weight,
            unproven=bool(deployment.prefill) and not facts.prefill,
            region=region_of(deployment, configured),
            here=is_here(deployment),
            bare=configured is not None and configured.credentials == "run_time",
        )

    def _standing(self, deployment: Deployment) -> Standing:
        key = deployment.provider, deployment.model
        if key not in self._standings:
            self._standings[key] = Standing(*key, self.settings.breaker)
        standing = self._standings[key]
        limits = Limits(deployment.requests_per_minute, deployment.tokens_per_minute, deployment.concurrent)
        if limits.any:
            standing.capacity = Capacity(limits if standing.capacity is None else limits.tighter(standing.capacity.limits))
        return standing

    def _price(self, deployment: Deployment) -> Price:
        configured = self.settings.providers.get(deployment.provider)
        named = deployment.model.partition("#")[2] or deployment.model
        return Price(deployment.provider, named, deployment.price, configured.base_url if configured else None)

    def models_of(self, provider: str) -> list[str]:
        """The models of a provider that aliases have, those that chat first."""
        kinds = sorted(self._aliases.values(), key=lambda alias: alias.kind)
        found = (each.model for alias in kinds for each in alias.deployments if each.provider == provider)
        return list(dict.fromkeys(found))

    def providers(self) -> list[str]:
        """The providers that aliases have and those that are configured, by name, but for this machine."""
        named = {each.provider for alias in self._aliases.values() for each in alias.deployments}
        return sorted(name for name in named | set(self.settings.providers) if name != LOCAL)

    def names(self) -> list[str]:
        """The aliases, and the providers' models behind them."""
        behind = {f"{served.provider_name}/{served.model}" for some in self._served.values() for served in some}
        return [*self._aliases, *sorted(behind)]

    def knows(self, kind: KillKind, name: str) -> bool:
        """Whether there is such an alias or provider's model, or such a provider (`azure` is also every `azure:…`)."""
        if kind is KillKind.PROVIDER:
            return name == LOCAL or any(name in (each, each.partition(":")[0]) for each in self.providers())
        every = (served for some in self._served.values() for served in some)
        return name in self._aliases or any(
            name in (model, f"{served.provider_name}/{model}") for served in every for model in (served.model, served.name)
        )

    def configured(self, provider: str) -> ProviderSettings | None:
        """What is configured for a provider; None where nothing is."""
        return self.settings.providers.get(provider)

    def provider(self, name: str) -> Provider:
        """The provider of that name, built where it is not yet.

        Raises:
            SettingsError: it cannot be built from its settings, or would be called in plaintext beyond this machine.
            NotFound: there is no such kind of provider.
        """
        with self._lock:
            return self._provider(name)

    def _provider(self, name: str) -> Provider:
        if name not in self._providers:
            configured = self.settings.providers.get(name, ProviderSettings())
            refuse_plain_address(name, configured, self.settings.tls)
            self._providers[name] = PROVIDERS.load(name.partition(":")[0])(name, self.settings, configured)
        return self._providers[name]


def _state(served: Served) -> dict[str, Any]:
    state = served.provider.state(served.model)
    return {"provider": served.provider_name, "model": state.name, "state": state.state, "detail": state.detail, **state.extra}


def _no_such_model(name: str) -> NotFound:
    return NotFound(f"There is no model {name[:128]!r}.", code="model_not_found", param="model")
