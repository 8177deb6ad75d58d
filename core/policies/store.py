"""The policies in force, in memory: read at the start, and again whenever a right or a policy was changed anywhere."""

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import select

from core.database import Database
from core.policies.policy import NOBODY, SECTIONS, Policy
from core.tables import AccessEpoch, Tenant

log = structlog.get_logger()

#: Seconds between two looks: with a look's own time, a change holds everywhere within a second.
LOOK_S = 0.4


class Policies:
    """One for a process, shared by all of its threads and event loops. Before `load` every tenant has the deployment's own."""

    def __init__(self, defaults: Policy | None = None) -> None:
        self.defaults = defaults or Policy()
        self._of: Mapping[str, Policy] = {}
        #: Of every tenant: what a browser that has not said whom it asks for may be told.
        self.origins = frozenset(self.defaults.browsers.origins)
        self._watched = False

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

    async def watch(self, database: Database) -> None:
        """Keep up with what any process changes, until cancelled; once a process. While the database is away the last known
        policies hold: nobody can change them, and nobody can sign in."""
        if self._watched:
            return
        self._watched = True
        try:
            await self._watch(database)
        finally:
            self._watched = False

    async def _watch(self, database: Database) -> None:
        known: int | None = None
        away = False
        while True:
            try:
                async with asyncio.timeout(2):
                    async with database.session(all_tenants=True) as session:
                        value = (await session.exec(select(AccessEpoch.value).where(AccessEpoch.id == 1))).first()
                    if value != known or away:
                        await self.load(database)
            except (SQLAlchemyError, TimeoutError, OSError) as error:
                if not away:
                    log.warning("policies.database_away", error=type(error).__name__)
                away = True
            else:
                known, away = value, False
            await asyncio.sleep(LOOK_S)
