"""The models of this installation, by the aliases that callers use."""

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import structlog
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable

from core.budgets import Budgets
from core.context import current
from core.database import Database
from core.encryption.keyring import Keyring
from core.epoch import Watcher
from core.errors import PlatformError
from core.kill_switches.switches import KillSwitches
from core.policies.policy import GuardMode, GuardRule
from core.policies.privacy import Privacy
from core.policies.store import Policies
from core.redis_clients import RedisClients
from core.settings import ModelAlias, ProviderSettings, Settings
from core.tables import KillKind
from providers.accounts import Accounts
from providers.base import ModelFacts, Provider
from providers.booked_embeddings import BookedEmbeddings, is_free
from providers.caching import AliasCache, ResponseCache
from providers.completion import Completion
from providers.editions import Assignments, Edition
from providers.embeddings import FailoverEmbeddings
from providers.experiments import Experiments
from providers.failover import FailoverChatModel
from providers.likeness import Likeness
from providers.local import LocalProvider
from providers.local_embeddings import MAX_TOKENS, LocalEmbeddings
from providers.places import admitted
from providers.prices import FREE
from providers.prices import load as load_prices
from providers.probing import Prober
from providers.registry.loading import Editions, no_such_model
from providers.reranking import FailoverReranker
from providers.retry_budget import RetryBudget
from providers.routing import Route
from providers.running import is_stopped
from providers.served import Served
from providers.serving import Serving
from providers.sharing import Sharing
from providers.vector_names import gives, vector_name
from providers.wire import Connected, Connections

log = structlog.get_logger()

DEFAULT = "default"
EMBEDDINGS = "embeddings"
LOCAL = "local"


class Models:
    """Built once a process and shared by all of its threads and event loops. Cheap: models load at first use or by `warm`.

    Raises:
        SettingsError: a deployment names an unknown provider, or a provider cannot be built from its settings.
    """

    def __init__(self, settings: Settings, policies: Policies | None = None, *, assignments: Assignments | None = None) -> None:
        self.settings = settings
        #: What tenants have decided, and what finds personal data by it. Every model call goes by both.
        self.policies = policies or Policies(settings.policies.policy(settings.retention.policy()))
        self.privacy = Privacy(self.policies, most_characters=settings.privacy.max_characters)
        #: What administrators have switched off.
        self.kills = KillSwitches()
        self.budgets = Budgets(settings)
        #: Which version of an alias an experiment gives a request.
        self.experiments = Experiments()
        self._serving = Serving(settings)
        #: The answers that are given again; none before `connect`.
        self.answers = ResponseCache(settings, Likeness(self.comparing, MAX_TOKENS), self.policies)
        #: Which version of an alias a request goes by.
        self.versions = Editions(self._serving, self.answers.version, settings.aliases, assignments or self.experiments)
        shared = (standing for (provider, _), standing in self._serving.standings.items() if provider not in FREE)
        self._sharing = Sharing(shared, settings.breaker.probe_s)
        self._serving.tell = self._sharing.add
        #: Providers as they are called with credentials that are kept at run time.
        self.accounts = Accounts(settings, self._sharing)
        #: Keeps all of these as the database has them; the quick ones first.
        self.changes = Watcher(
            *(
                self.kills.load,
                self.experiments.load,
                self.versions.load,
                self.policies.load,
                self.budgets.load,
                self.accounts.load,
            )
        )
        self._budget = RetryBudget(settings.retries.share)
        self.prober = Prober(lambda: (served for each in self.versions.used() for served in each.served), settings.probes)

    def connect(self, clients: RedisClients, keyring: Keyring | None = None) -> None:
        """Share breakers, rate limits and kept answers, which the keyring seals, with the other processes that are connected to
        this server. Without it everything goes on."""
        self._sharing.connect(clients)
        self.answers.connect(clients, keyring)
        self.budgets.connect(clients)

    async def take_experiments(self, database: Database) -> None:
        """Go by the experiments that run now, in this process at once."""
        await self.experiments.load(database)
        await self.versions.load(database)

    async def listen(self) -> None:
        """Go by what the other processes find out of deployments while no request asks, too: until cancelled."""
        await self._sharing.listen()

    def chat(self, alias: str | None = None) -> BaseChatModel:
        """The chat model behind an alias, in the version that the request goes by; None is `default`.

        Raises:
            NotFound: code `model_not_found`: there is no such alias, or it is no chat model.
        """
        found = self._find(alias or DEFAULT, "chat")
        return found.once("chat", lambda: FailoverChatModel(route=self._route(found), kept=self._kept(found)))

    def completion(self, alias: str | None = None) -> Runnable[dict[str, Any], str]:
        """Continues a text: see `providers.completion`. Raises as `chat` does."""
        found = self._find(alias or DEFAULT, "chat")
        return found.once("completion", lambda: Completion(self._route(found), kept=self._kept(found)))

    def _kept(self, edition: Edition) -> AliasCache | None:
        return self.answers.of(edition.alias, edition.label)

    def _route(self, edition: Edition) -> Route:
        return Route(
            alias=edition.alias.alias,
            deployments=edition.served,
            total_s=self.settings.timeouts.total,
            version=edition.label,
            defaults=edition.alias.parameters.given,
            strategy=edition.alias.strategy,
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
        return found.once("embeddings", lambda: self._embeddings(found))

    def _embeddings(self, edition: Edition) -> Embeddings:
        if len(edition.served) == 1 and is_free(edition.served[0]):
            return BookedEmbeddings(self._route(edition))
        return FailoverEmbeddings(self._route(edition))

    def reranker(self, alias: str) -> FailoverReranker:
        """Says how well texts answer a query. Raises as `embeddings` does."""
        found = self._find(alias, "rerank")
        self._route(found).within_policy()
        return found.once("rerank", lambda: FailoverReranker(self._route(found)))

    def embedding_name(self, alias: str = EMBEDDINGS) -> str:
        """Which vectors an alias gives, for what is kept beside them: "local/all-MiniLM-L6-v2", or what `serves` says."""
        return vector_name(self._find(alias, "embeddings").alias)

    def gives_vectors_of(self, name: str, alias: str = EMBEDDINGS) -> bool:
        """Whether an alias gives vectors that compare with those that it gave when `embedding_name` said `name`.

        Raises:
            NotFound: code `model_not_found`.
        """
        return gives(self._find(alias, "embeddings").alias, name)

    def embedding_tokens(self, text: str, alias: str = EMBEDDINGS) -> list[tuple[int, int]]:
        """Offsets in characters of the embedding model's tokens, to split by; estimated for a remote model."""
        served = self._find(alias, "embeddings").served[0]
        if isinstance(served.provider, LocalProvider):
            return served.provider.embedding_tokens(text)
        from providers.tokens import pieces

        return pieces(text)

    def count_tokens(self, text: str, alias: str | None = None) -> int:
        """Tokens of a text for the first deployment of an alias of any kind; exact for the bundled models. Blocking, short."""
        served = self.versions.chosen(alias or DEFAULT).served[0]
        return served.provider.count_tokens(served.model, text)

    def facts(self, alias: str | None = None, *, images: bool | None = None) -> ModelFacts:
        """What the first deployment that may see the request's data can do, since it answers as long as it is well.

        With `images`, the first of those that see (True) or do not (False), and the first of all where there is none.

        Raises:
            NotFound: code `model_not_found`.
        """
        every = self.versions.chosen(alias or DEFAULT).served
        able = admitted(self.policies, every) or every[:1]
        return next((served for served in able if images in (None, served.facts.images)), able[0]).facts

    def sees(self, alias: str | None = None) -> bool:
        """Whether an alias has a deployment that takes pictures, be it called for this request or not.

        Raises:
            NotFound: code `model_not_found`.
        """
        return any(served.facts.images for served in self.versions.chosen(alias or DEFAULT).served)

    async def warm(self, *, local: bool) -> None:
        """Load the local models, or what the other providers need (their packages take seconds to import), one after the other.

        What cannot be loaded is logged and told by `states`.
        """
        if not local and any(each.provider_name not in FREE for each in self._used()):
            await asyncio.to_thread(load_prices)
        every = self._used()
        for served in {(each.provider_name, each.model, each.timeouts): each for each in every}.values():
            if (served.provider_name == LOCAL) is not local or served.bare:
                continue
            try:
                await served.provider.warm(served.model, served.timeouts)
            except Exception as error:  # noqa: BLE001 - it keeps no other from being loaded
                reason = error.message if isinstance(error, PlatformError) else type(error).__name__
                log.warning("model.not_warm", provider=served.provider_name, model=served.name, reason=reason)

    def _used(self) -> list[Served]:
        """The deployments of every version that requests go by."""
        return [served for edition in self.versions.used() for served in edition.served]

    def states(self) -> list[dict[str, Any]]:
        """Each alias with its live version's deployments and how they stand, from memory. What is switched off for the
        request's tenant is `killed`."""
        return [
            {"alias": name, "kind": live.alias.kind, "deployments": [self._state(name, served) for served in live.served]}
            for name, live in self.versions.live().items()
        ]

    def is_killed(self, alias: str, served: Served | None = None) -> bool:
        """Whether a deployment of an alias, or all of them, is switched off for the request's tenant."""
        if self.kills.none:
            return False
        tenant, live = current().principal.tenant, self.versions.live().get(alias)
        if self.kills.stops_tenant(tenant) or self.kills.stops_alias(tenant, alias):
            return True
        some = (served,) if served else live.served if live else ()
        return all(is_stopped(self.kills, tenant, each) for each in some)

    def _state(self, alias: str, served: Served) -> dict[str, Any]:
        told = _state(served)
        return told | {"state": "killed", "detail": "switched off"} if self.is_killed(alias, served) else told

    def health(self) -> list[dict[str, Any]]:
        """Each alias with its deployments: breaker, latency, calls in flight and the last error, as this process knows them."""
        return [
            {
                "alias": name,
                "kind": live.alias.kind,
                "strategy": live.alias.strategy,
                "deployments": [
                    {"provider": served.provider_name, "model": served.name, **served.standing.told()} for served in live.served
                ],
            }
            for name, live in self.versions.live().items()
        ]

    def connections(self) -> Iterator[tuple[str, Connections]]:
        """How the platform's own connections to each provider are used."""
        for name, provider in self._serving.providers.items():
            if isinstance(provider, Connected) and (use := provider.connections()) is not None:
                yield name, use

    def catalogue(self) -> Iterator[tuple[ModelAlias, Route]]:
        """Each alias that the request's principal may use, as its live version is configured, with its deployments in the same
        order."""
        for name, live in self.versions.live().items():
            if current().principal.may_use_model(name):
                yield live.alias, self._route(live)

    async def close(self) -> None:
        """Stop what the providers run, and close their connections."""
        await self._sharing.close()
        await self.accounts.close()
        self.budgets.close()
        await asyncio.gather(*(provider.close() for provider in self._serving.providers.values()))

    def _find(self, name: str, kind: str) -> Edition:
        found = self.versions.chosen(name)
        if found.alias.kind != kind:
            raise no_such_model(name)
        return found

    def comparing(self) -> LocalEmbeddings:
        """The bundled embedding model, whatever the alias of embeddings is: comparing messages sends them nowhere."""
        provider = self._serving.provider(LOCAL)
        model = provider.embeddings(self.settings.local.embedding_model, self.settings.timeouts)
        return cast("LocalEmbeddings", model)

    def guards_of(self, alias: str) -> tuple[GuardRule, ...]:
        """The guards of the version of an alias that the request goes by; none where there is no such alias."""
        if self.versions.line(alias) is None:
            return ()
        return tuple(rule for rule in self.versions.chosen(alias).alias.guards if rule.mode is not GuardMode.OFF)

    def kinds(self) -> dict[str, str]:
        """What kind of model each alias is."""
        return {name: live.alias.kind for name, live in self.versions.live().items()}

    def models_of(self, provider: str) -> list[str]:
        """The models of a provider that aliases have, those that chat first."""
        kinds = sorted(self.versions.used(), key=lambda edition: edition.alias.kind)
        found = (each.model for edition in kinds for each in edition.alias.deployments if each.provider == provider)
        return list(dict.fromkeys(found))

    def providers(self) -> list[str]:
        """The providers that aliases have and those that are configured, by name, but for this machine."""
        named = {served.provider_name for served in self._used()}
        return sorted(name for name in named | set(self.settings.providers) if name != LOCAL)

    def names(self) -> list[str]:
        """The aliases, and the providers' models behind them."""
        behind = {f"{served.provider_name}/{served.model}" for served in self._used()}
        return [*self.versions.live(), *sorted(behind)]

    def knows(self, kind: KillKind, name: str) -> bool:
        """Whether there is such an alias or provider's model, or such a provider (`azure` is also every `azure:…`)."""
        if kind is KillKind.PROVIDER:
            return name == LOCAL or any(name in (each, each.partition(":")[0]) for each in self.providers())
        return name in self.versions.live() or any(
            name in (model, f"{served.provider_name}/{model}")
            for served in self._used()
            for model in (served.model, served.name)
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
        return self._serving.provider(name)


def _state(served: Served) -> dict[str, Any]:
    state = served.provider.state(served.model)
    return {"provider": served.provider_name, "model": state.name, "state": state.state, "detail": state.detail, **state.extra}
