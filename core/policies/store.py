"""The policies in force, in memory: read at the start, and again whenever anything is changed anywhere (`core.epoch`)."""

from collections.abc import Mapping
from typing import Any

import structlog
from pydantic import ValidationError
from sqlmodel import select

from core.database import Database
from core.policies.policy import NOBODY, SECTIONS, Policy
from core.tables import Tenant

log = structlog.get_logger()


class Policies:
    """One for a process, shared by all of its threads and event loops. Before `load` every tenant has the deployment's own."""

    def __init__(self, defaults: Policy | None = None) -> None:
        self.defaults = defaults or Policy()
        self._of: Mapping[str, Policy] = {}
        #: Of every tenant: what a browser that has not said whom it asks for may be told.
        self.origins = frozenset(self.defaults.browsers.origins)

    def of(self, tenant: str) -> Policy:
        """What holds for a tenant now. Costs a look into a dictionary."""
        return self._of.get(tenant, self.defaults)

    async def load(self, database: Database) -> None:
        """Read what all tenants have decided. A policy that cannot be read lets nobody see its tenant's data."""
        async with database.session(all_tenants=True) as session:
            rows = (await session.exec(select(Tenant.id, Tenant.policies))).all()
        database.keyring.keep_of(tenant for tenant, _ in rows)
        self._of = {tenant: self._read(tenant, kept) for tenant, kept in rows if any(name in kept for name in SECTIONS)}
        self.origins = frozenset(self.defaults.browsers.origins).union(*(each.browsers.origins for each in self._of.values()))

    def merged(self, own: Mapping[str, Any]) -> Policy:
        """The policy of a tenant that has decided `own`: what it leaves out is the deployment's. It may keep data for a shorter
        time than the deployment, never for a longer one.

        Raises:
            ValidationError
        """
        given = {name: own[name] for name in SECTIONS if name in own}
        told = Policy.model_validate(given)
        merged = {name: getattr(told if name in given else self.defaults, name) for name in SECTIONS}
        return Policy(**merged | {"retention": self.defaults.retention.tightened(told.retention)})

    def _read(self, tenant: str, kept: Mapping[str, Any]) -> Policy:
        try:
            return self.merged(kept)
        except ValidationError:
            log.exception("policies.unreadable", tenant=tenant)
            return Policy(data=NOBODY, retention=self.defaults.retention)
