"""Providers as they are called with credentials that administrators keep at run time: a tenant's own, or all tenants'.

A tenant's own credential wins over one for everybody, and that over what is configured. Each has its own connections, breakers
and limits, so that a bad one harms nobody who does not call with it. One that was replaced or removed is called no more; what
is under way ends on it.
"""

import asyncio
import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import structlog
from sqlmodel import col, select

from core.database import Database
from core.errors import Unavailable
from core.provider_credentials import NEWEST, ProviderCredentials
from core.settings import Deployment, ProviderSettings, Settings
from core.tables import ProviderCredential
from providers import PROVIDERS
from providers.base import Provider
from providers.capacity import Capacity
from providers.outward import refuse_plain_address
from providers.places import region_of
from providers.served import Served
from providers.sharing import Sharing
from providers.standing import Standing

log = structlog.get_logger()

#: Stands for every tenant that has no credential of its own.
EVERYBODY: Final = "*"
#: Seconds that the connections of a replaced credential are kept, beyond the longest that a request may take.
_GRACE_S: Final = 5.0


class Account:
    """A provider that is called with one credential. `provider` is None where the credential cannot be used. One that is
    `elsewhere` has an address of its own and does not say in which region that is."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        configured: ProviderSettings | None,
        provider: Provider | None,
        *,
        elsewhere: bool = False,
    ) -> None:
        self.provider = provider
        self._elsewhere = elsewhere
        self._name = name
        self._settings = settings
        self.configured = configured
        self._served: dict[Served, Served] = {}
        self.standings: dict[str, Standing] = {}
        self._lock = threading.Lock()

    def region(self, deployment: Deployment) -> str | None:
        """The region that a deployment's calls with this credential are answered in; None: not known."""
        return None if self._elsewhere else region_of(deployment, self.configured)

    def serve(self, served: Served, sharing: Sharing) -> Served | None:
        """The deployment, called with this credential; None where that cannot be."""
        if self.provider is None:
            return None
        if (known := self._served.get(served)) is not None:
            return known
        with self._lock:
            if served not in self._served:
                self._served[served] = self._made(served, self.provider, sharing)
            return self._served[served]

    def _made(self, served: Served, provider: Provider, sharing: Sharing) -> Served:
        if (standing := self.standings.get(served.model)) is None:
            standing = Standing(served.provider_name, served.model, self._settings.breaker, self._name)
            if served.standing.capacity is not None:
                standing.capacity = Capacity(served.standing.capacity.limits)
            self.standings[served.model] = standing
            sharing.add(standing)
        region = served.region
        if self._elsewhere or (self.configured is not None and self.configured.region is not None):
            region = self.region(Deployment(provider=served.provider_name, model=served.model))
        return replace(served, provider=provider, standing=standing, region=region, bare=False)


class Accounts:
    """All of them, in memory; one for a process, shared by all of its threads and event loops. None before `load`."""

    def __init__(self, settings: Settings, sharing: Sharing) -> None:
        self._settings = settings
        self._sharing = sharing
        #: By (tenant or everybody, provider), the account that counts; by (credential, version), all that are built.
        self._of: Mapping[tuple[str, str], Account] = {}
        self._built: dict[tuple[str, int], Account] = {}
        self._numbers = itertools.count(1)
        self._loaded = 0
        self._lock = threading.Lock()
        #: What is called no more, but may be answering.
        self._retired: set[Provider] = set()
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def none(self) -> bool:
        return not self._of

    def account(self, tenant: str, provider: str) -> Account | None:
        """What the tenant's calls of the provider are made with; None: with what is configured."""
        return self._of.get((tenant, provider)) or self._of.get((EVERYBODY, provider))

    def called(self, tenant: str, served: Served) -> Served:
        """The deployment as the tenant calls it; as it is where that cannot be."""
        account = self.account(tenant, served.provider_name)
        return (None if account is None else account.serve(served, self._sharing)) or served

    def of(self, tenant: str, deployments: Sequence[Served]) -> tuple[Served, ...]:
        """The deployments as the tenant calls them, without those that it has no credential for.

        Raises:
            Unavailable: `no_credential`: none is left.
        """
        if self.none and not any(served.bare for served in deployments):
            return tuple(deployments)
        found = []
        for served in deployments:
            account = self.account(tenant, served.provider_name)
            own = served if account is None else account.serve(served, self._sharing)
            if own is not None and not own.bare:
                found.append(own)
        if not found:
            raise Unavailable("There is no credential that the model's provider could be called with.", code="no_credential")
        return tuple(found)

    async def load(self, database: Database) -> None:
        """Take up what was added, replaced or removed. One that cannot be opened is called with no other in its place.

        Of several at once, on whichever loops, the one that began last counts.
        """
        number = next(self._numbers)
        async with database.session(all_tenants=True) as session:
            query = select(ProviderCredential).where(col(ProviderCredential.disabled_at).is_(None)).order_by(*NEWEST)
            rows = (await session.exec(query)).all()
        made = {key: await self._build(database, row) for row in rows if (key := (row.id, row.version)) not in self._built}
        with self._lock:
            if number < self._loaded:
                dropped = list(made.values())
            else:
                self._loaded = number
                dropped = [account for key, account in made.items() if self._built.setdefault(key, account) is not account]
                dropped += self._take_up(rows)
        for account in dropped:
            self._retire(account)

    def _take_up(self, rows: Sequence[ProviderCredential]) -> list[Account]:
        """Have these rows, the newest first, count. What is called no more."""
        of: dict[tuple[str, str], Account] = {}
        for row in rows:
            account = self._built[row.id, row.version]
            of.setdefault((row.tenant, row.provider), account)
            if row.everywhere:
                of.setdefault((EVERYBODY, row.provider), account)
        self._of = of
        kept = {(row.id, row.version) for row in rows}
        return [self._built.pop(key) for key in list(self._built) if key not in kept]

    async def close(self) -> None:
        """Close the connections of all."""
        here = [task for task in self._closing if task.get_loop() is asyncio.get_running_loop()]
        await asyncio.gather(*here, return_exceptions=True)
        providers = [*self._retired, *(each.provider for each in self._built.values() if each.provider is not None)]
        self._of, self._built, self._retired = {}, {}, set()
        await asyncio.gather(*(provider.close() for provider in providers))

    async def _build(self, database: Database, row: ProviderCredential) -> Account:
        name = f"{row.id}.{row.version}"
        configured = self._settings.providers.get(row.provider, ProviderSettings())
        address = row.options.get("base_url", configured.base_url)
        elsewhere = _plain(address) != _plain(configured.base_url) and "region" not in row.options
        try:
            configured = await ProviderCredentials(database).settings_of(row, configured)
            provider = await asyncio.to_thread(built, row.provider, self._settings, configured)
        except Exception as error:  # noqa: BLE001 - of one tenant: the others' are taken up
            facts = {"credential": row.id, "provider": row.provider, "error": type(error).__name__}
            log.error("credential.unusable", **facts)  # noqa: TRY400 - a trace could show a secret
            return Account(name, self._settings, None, None)
        return Account(name, self._settings, configured, provider, elsewhere=elsewhere)

    def _retire(self, account: Account) -> None:
        self._sharing.remove(tuple(account.standings.values()))
        if account.provider is not None:
            self._retired.add(account.provider)
            longest_s = self._settings.timeouts.total + _GRACE_S  # that a request which began with it may take
            asyncio.get_running_loop().call_later(longest_s, self._close_retired, account.provider)

    def _close_retired(self, provider: Provider) -> None:
        if provider not in self._retired:
            return
        self._retired.discard(provider)
        task = asyncio.get_running_loop().create_task(provider.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def built(provider: str, settings: Settings, configured: ProviderSettings) -> Provider:
    """A provider for other settings than those that are configured. Blocking: it imports what the provider needs.

    Raises:
        SettingsError: it cannot be built from them.
    """
    refuse_plain_address(provider, configured, settings.tls)
    load: Callable[..., Provider] = PROVIDERS.load(provider.partition(":")[0])
    return load(provider, settings, configured)


def _plain(address: str | None) -> str | None:
    return None if address is None else address.rstrip("/")
