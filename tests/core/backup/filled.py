"""A platform with something in every place, without a server."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from core.backup.manifest import Manifest
from core.backup.restoring import Restore
from core.backup.taking import take
from core.database import Database, keyring_of
from core.files import Files
from core.keys import load_secret
from core.settings import Settings
from core.tables import Tenant

TEXT = b"The pump lifts 40 litres."
#: More than goes through memory at once.
LARGE = bytes(range(256)) * 6000


@dataclass
class Place:
    """A platform's settings, and places for its copies."""

    settings: Settings
    root: Path
    told: list[str]

    @property
    def data(self) -> str:
        return str(self.root / "backup")

    @property
    def keys(self) -> str:
        return str(self.root / "keys")

    def take(self, *, keys: bool = True, with_files: bool = True) -> Manifest:
        keys_to = self.keys if keys else None
        return take(self.settings, self.data, keys_to=keys_to, with_files=with_files, told=self.told.append)

    def restore(self, settings: Settings | None = None, *, keys: bool = True) -> Restore:
        return Restore(settings or self.settings, self.data, self.keys if keys else None, self.told.append)


def fill(settings: Settings) -> None:
    """A tenant, and files of its: small, large, replaced."""

    async def put() -> None:
        keyring = keyring_of(settings)
        database, files = Database(settings, keyring), Files(settings, keyring)
        async with database.transaction(all_tenants=True) as session:
            session.add(Tenant(id="acme", name="Acme"))
        await files.put("col_1/doc_1/text", TEXT, tenant="acme")
        await files.put("col_1/doc_1/original", LARGE, tenant="acme")
        await database.close()

    load_secret(settings)
    asyncio.run(put())


def stored(settings: Settings) -> tuple[bool, bytes, bytes]:
    """Whether the tenant is there, and what its files hold, opened with the keys of the settings."""

    async def read() -> tuple[bool, bytes, bytes]:
        keyring = keyring_of(settings)
        database, files = Database(settings, keyring), Files(settings, keyring)
        async with database.session(all_tenants=True) as session:
            there = await session.get(Tenant, "acme") is not None
        found = [await files.get(f"col_1/doc_1/{name}", tenant="acme") for name in ("text", "original")]
        await database.close()
        return there, found[0], found[1]

    return asyncio.run(read())
