"""Providers and deployments as the settings have them: each is built once, at its first use, and shared by all versions."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace

from core.settings import Deployment, ProviderSettings, Settings
from providers import PROVIDERS
from providers.base import Provider, TakesTurns
from providers.capacity import Capacity, Limits
from providers.local import LocalProvider
from providers.outward import refuse_plain_address
from providers.parts import require_part_of
from providers.places import is_here, region_of
from providers.prices import FREE, Price
from providers.served import Served
from providers.standing import Standing


class Serving:
    """One for a process, used in any of its threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._providers: dict[str, Provider] = {}
        self._served: dict[str, Served] = {}
        self.standings: dict[tuple[str, str], Standing] = {}
        #: Told of each standing from then on, when it is made.
        self.tell: Callable[[Standing], None] = lambda _: None
        self._lock = threading.RLock()

    @property
    def providers(self) -> dict[str, Provider]:
        """Those that are built, by name."""
        return dict(self._providers)

    def provider(self, name: str) -> Provider:
        """The provider of that name, built where it is not yet: that may import its packages, for seconds.

        Raises:
            SettingsError: it cannot be built from its settings, or would be called in plaintext beyond this machine.
            NotFound: there is no such kind of provider.
        """
        with self._lock:
            if name not in self._providers:
                configured = self._settings.providers.get(name, ProviderSettings())
                refuse_plain_address(name, configured, self._settings.tls)
                self._providers[name] = PROVIDERS.load(name.partition(":")[0])(name, self._settings, configured)
            return self._providers[name]

    def serve(self, deployment: Deployment) -> Served:
        """The deployment, ready to be called; the same for whoever says the same of it. Raises as `provider` does."""
        said = deployment.model_dump_json()
        with self._lock:
            if (known := self._served.get(said)) is None:
                known = self._served[said] = self._made(deployment)
            return known

    def limit(self, deployments: Iterable[Deployment]) -> None:
        """Hold what these name to the tightest of the limits that they give, and nothing to a limit that none of them gives."""
        tightest: dict[tuple[str, str], Limits] = {}
        for each in deployments:
            limits = Limits(each.requests_per_minute, each.tokens_per_minute, each.concurrent)
            key = each.provider, each.model
            tightest[key] = limits.tighter(tightest[key]) if key in tightest else limits
        for key, limits in tightest.items():
            standing = self.standings[key]
            if standing.capacity is not None:
                standing.capacity.limits = limits
            elif limits.any:
                standing.capacity = Capacity(limits)

    def _made(self, deployment: Deployment) -> Served:
        require_part_of(deployment, self._settings)
        provider, configured = self.provider(deployment.provider), self._settings.providers.get(deployment.provider)
        if isinstance(provider, LocalProvider):
            provider.check(deployment.model)
        timeouts = deployment.timeouts
        if timeouts is None:
            timeouts = self._settings.timeouts
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
        if key not in self.standings:
            self.standings[key] = standing = Standing(*key, self._settings.breaker)
            if deployment.provider not in FREE:
                self.tell(standing)
        return self.standings[key]

    def _price(self, deployment: Deployment) -> Price:
        configured = self._settings.providers.get(deployment.provider)
        named = deployment.model.partition("#")[2] or deployment.model
        return Price(deployment.provider, named, deployment.price, configured.base_url if configured else None)
