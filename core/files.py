"""The file store: originals, extracted text and exports, in the data directory or in an object store, sealed.

Keys are made of our own identifiers (`col_x/doc_y/3/text`), never of a name that a caller gave.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from core.encryption.envelope import HEADER_BYTES, Place, key_id_of
from core.encryption.streams import open_bytes, open_stream, seal_bytes, seal_stream
from core.errors import NotFound, Unavailable
from core.scratch import Scratch
from core.settings import Settings
from core.storages import checked, open_storage

if TYPE_CHECKING:
    from core.encryption.keyring import Keyring

_Result = TypeVar("_Result")


class Files:
    """Bytes by key, sealed for the tenant that they belong to: another's cannot be opened. Shared by all threads and event
    loops; the methods run their work off the loop.

    Raises (all methods):
        ValueError: a key that is not one of ours.
        Unavailable: the store cannot be reached or written (`files_unavailable`), or the tenant's keys (`keys_unavailable`).
    """

    def __init__(self, settings: Settings, keyring: "Keyring") -> None:
        self._storage = open_storage(settings)
        self._keyring = keyring
        #: For what is opened, or not yet sealed.
        self.scratch = Scratch(settings.path("scratch"))

    async def put(self, key: str, data: bytes, *, tenant: str) -> None:
        """Store or replace; atomic, may be repeated."""
        place, sealer = place_of(tenant, key), await self._keyring.sealer(tenant)
        await self._run(lambda: self._storage.write(key, seal_bytes(sealer.key, place, data)))

    async def put_file(self, key: str, path: Path, *, tenant: str) -> None:
        """Store or replace with what the local file `path` holds; the file stays. Atomic, may be repeated."""
        await self._keyring.sealer(tenant)  # waits for a key service elsewhere than where files are written
        await self._run(lambda: self._seal_file(key, path, tenant))

    async def get(self, key: str, *, tenant: str) -> bytes:
        """The content.

        Raises:
            NotFound: nothing is stored under the key (`file_not_found`).
            DecryptionFailed: it was changed, or is not what was stored for this tenant under this key.
        """
        place = place_of(tenant, key)
        return await self._run(lambda: open_bytes(self._keyring.find, place, self._storage.read(key)))

    @asynccontextmanager
    async def local(self, key: str, *, tenant: str) -> AsyncIterator[Path]:
        """The content as a local file, to be read within the block only; nobody but this user can read it meanwhile.

        Raises:
            NotFound: nothing is stored under the key (`file_not_found`).
            DecryptionFailed: as with `get`.
        """
        async with self.scratch.adirectory("file") as scratch:
            yield await self._run(lambda: self._open_file(key, tenant, scratch))

    async def open(self, key: str, *, tenant: str) -> BinaryIO:
        """The content to be read bit by bit, as it is now, whatever becomes of the key. The caller closes it.

        Raises:
            NotFound: nothing is stored under the key (`file_not_found`).
            DecryptionFailed: as with `get`.
        """
        return await self._run(lambda: self._opened(key, tenant))

    async def reseal(self, key: str, *, tenant: str) -> bool:
        """Seal the file as it would be sealed now. False where it is already, or is gone."""
        try:
            return await self._run(lambda: self._reseal(key, tenant))
        except NotFound:
            return False

    async def exists(self, key: str) -> bool:
        """Whether something is stored under the key."""
        return await self._run(lambda: self._storage.exists(checked(key)))

    async def delete(self, key: str) -> None:
        """Delete; no error when nothing is there."""
        await self._run(lambda: self._storage.delete(checked(key)))

    async def delete_prefix(self, prefix: str) -> None:
        """Delete every key below `prefix/`; no error when there is none."""
        await self._run(lambda: self._storage.delete_below(checked(prefix.rstrip("/"))))

    def _seal_file(self, key: str, path: Path, tenant: str) -> None:
        data_key, place = self._keyring.current(tenant), place_of(tenant, key)
        with self.scratch.directory("sealed") as scratch:
            sealed = scratch / "sealed"
            with path.open("rb") as source, sealed.open("xb") as target:
                seal_stream(data_key, place, source, target)
            self._storage.write(key, sealed)

    def _opened(self, key: str, tenant: str) -> BinaryIO:
        with self.scratch.directory("file") as scratch:
            return self._open_file(key, tenant, scratch).open("rb")

    def _open_file(self, key: str, tenant: str, scratch: Path) -> Path:
        stored = self._storage.fetch(checked(key), scratch)
        opened = scratch / "opened"
        with stored.open("rb") as source, opened.open("xb") as target:
            open_stream(self._keyring.find, place_of(tenant, key), source, target)
        return opened

    def _reseal(self, key: str, tenant: str) -> bool:
        with self.scratch.directory("file") as scratch:
            with self._storage.fetch(checked(key), scratch).open("rb") as stored:
                if self._keyring.seals_with(key_id_of(stored.read(HEADER_BYTES)), tenant):
                    return False
            self._seal_file(key, self._open_file(key, tenant, scratch), tenant)
        return True

    @staticmethod
    async def _run(work: Callable[[], _Result]) -> _Result:
        try:
            return await asyncio.to_thread(work)
        except FileNotFoundError as error:
            raise NotFound("The stored file is gone.", code="file_not_found") from error
        except OSError as error:
            raise Unavailable(
                "The file store does not answer.", code="files_unavailable", context={"error": type(error).__name__}
            ) from error


def place_of(tenant: str, key: str) -> Place:
    """Where a file is, for its seal. Raises ValueError: a key that is not one of ours."""
    return Place(tenant, "files", "content", checked(key))
