"""The data keys of the tenants: made, unwrapped and remembered, and what is sealed and opened with them.

One for a process, for all of its threads and event loops. A key is unwrapped once a process. Which key seals is asked anew
every three seconds, so that a process learns of a rotation that another has made; until then it seals with the one before,
which opens too.
"""

import asyncio
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from core.encryption.data_keys import DataKeys, StoredKey
from core.encryption.envelope import (
    KEY_ID_BYTES,
    DataKey,
    Place,
    dumped,
    in_json,
    key_id_of,
    loaded,
    not_opened,
    opened,
    plain,
    seal,
    seal_json,
    sealed_in_json,
)
from core.encryption.key_encryption import KeyEncryption
from core.encryption.plain_forms import is_object
from core.encryption.taking_turns import Turns
from core.errors import Unavailable
from core.settings import Settings

#: Seconds for which a process believes that a key is still the one that seals.
CURRENT_S: Final = 3.0
#: Bytes above which a value is sealed and opened off the event loop: 0.2 ms.
OFF_LOOP_BYTES: Final = 256 * 2**10
_SECRET_BYTES: Final = 32
#: Threads that wait for keys: a key service that hangs holds up whoever needs one of its keys, and nobody else's work.
_THREADS: Final = 32


_Key = TypeVar("_Key", DataKey, DataKey | None)


@dataclass(frozen=True, slots=True)
class Sealer:
    """Seals what belongs to one tenant, without asking anybody: to be had before a transaction, and used within it.

    `key` is None where encryption is off: values stay as they are.
    """

    tenant: str
    key: DataKey | None

    def seal(self, table: str, column: str, row: str, data: bytes) -> bytes:
        return seal(self.key, Place(self.tenant, table, column, row), data)

    def seal_json(self, table: str, column: str, row: str, value: Any) -> Any:
        return seal_json(self.key, Place(self.tenant, table, column, row), value)


class Keyring:
    """Cheap to build: nothing is read before it is needed. The methods that are not asynchronous block.

    Raises (all of them):
        Unavailable: `keys_unavailable`: neither memory nor the source of the key has the key that is needed.
    """

    def __init__(self, settings: Settings, url: str) -> None:
        self._stored = DataKeys(url)
        self._wrapping = KeyEncryption(settings)
        self._known: dict[bytes, DataKey] = {}
        self._current: dict[str, tuple[float, DataKey]] = {}
        #: A tenant's is held while database and key service are asked for its keys. The first may itself wait for whoever is
        #: to be answered by an event loop, and the second may hang.
        self._turns = Turns()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="keys")
        self._asked: dict[tuple[str, Any], Future[Any]] = {}
        #: Held for a moment alone, also on an event loop.
        self._memory = threading.Lock()

    def check(self) -> None:
        """Refuse a start with which something that is stored could not be opened, or nothing be sealed.

        Raises:
            SettingsError: a key is missing, unknown or unusable; the message names the setting.
        """
        self._wrapping.check(self._stored.wrapped_by())
        for stored in self._stored.one_of_each_source():
            self._unwrap(stored)

    def current(self, tenant: str, *, since: float | None = None) -> DataKey | None:
        """The key that seals for the tenant, made now where there is none; None where encryption is off. `since`: when it was
        first asked for, on the monotonic clock; None: now."""
        if self._wrapping.off:
            return None
        known = self._current.get(tenant)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        with self._turns.of(tenant, since), _asking():
            known = self._current.get(tenant)
            if known is not None and known[0] > time.monotonic():
                return known[1]
            stored = self._stored.current(tenant)
            key = self._make(tenant) if stored is None else self._unwrap(stored)
            self._current[tenant] = (time.monotonic() + CURRENT_S, key)
            return key

    def find(self, key_id: bytes, *, since: float | None = None) -> DataKey:
        """The key of this id; `since` as for `current`. Raises DecryptionFailed: there is none."""
        since = time.monotonic() if since is None else since
        if (known := self._known.get(key_id)) is not None:
            return known
        with self._turns.of(self._get(key_id).tenant, since):
            return self._unwrap(self._get(key_id))  # which may have been destroyed while others had their turn

    async def sealer(self, tenant: str) -> Sealer:
        """Seals for the tenant. To be had before a transaction is opened: making a tenant's first key writes."""
        known = self._current.get(tenant)
        if self._wrapping.off:
            return Sealer(tenant, None)
        fresh = known is not None and known[0] > time.monotonic()
        return Sealer(tenant, known[1] if known and fresh else await self._in_thread(self.current, tenant))

    async def seal(self, place: Place, data: bytes) -> bytes:
        """The data, sealed for its place; not within a transaction."""
        key = (await self.sealer(place.tenant)).key
        if len(data) > OFF_LOOP_BYTES:
            return await asyncio.to_thread(seal, key, place, data)
        return seal(key, place, data)

    async def seal_json(self, place: Place, value: Any) -> Any:
        """A JSON value, sealed into one that a JSON column takes; not within a transaction."""
        if self._wrapping.off:
            return value
        return in_json(await self.seal(place, dumped(value)))

    async def open(self, place: Place, data: bytes) -> bytes:
        """The data of what is stored there; what was never sealed comes as it is.

        Raises:
            DecryptionFailed: it was changed, or belongs to another place.
        """
        key_id = key_id_of(data)
        if key_id is None:
            return plain(data)
        key = await self._having(key_id)
        if len(data) > OFF_LOOP_BYTES:
            return await asyncio.to_thread(opened, key, place, data)
        return opened(key, place, data)

    async def open_json(self, place: Place, value: Any, *, fits: Callable[[Any], bool] = is_object) -> Any:
        """The value of a JSON column; what was never sealed comes as it is, where it has the column's form (`fits`).

        Raises:
            DecryptionFailed: as `open` does; or it was never sealed, and is nothing that was stored there.
        """
        data = sealed_in_json(value)
        if data is None:
            if not fits(value):
                raise not_opened("neither sealed nor of the column's form")
            return value
        return loaded(await self.open(place, data))

    def rotate(self) -> None:
        """A new key-encryption key, where the platform makes it itself; every data key wrapped with the newest one; and a new
        data key for every tenant that has one. What is stored stays as it is, and can be read. May be repeated. Nothing where
        encryption is off."""
        if self._wrapping.off:
            return
        with _asking():
            self._wrapping.rotate()
        self.rewrap()
        for tenant in self._stored.tenants():
            with self._turns.of(tenant), _asking():
                key = self._make(tenant)
                self._stored.retire(tenant, but=key.id)
                self._current[tenant] = (time.monotonic() + CURRENT_S, key)

    def rewrap(self) -> None:
        """Have every data key wrapped with the newest key-encryption key. May be repeated. Nothing where encryption is off."""
        if self._wrapping.off:
            return
        with _asking():
            for stored in self._stored.all():
                secret = self._wrapping.unwrap(stored)
                wrapped, name = self._wrapping.wrap(stored.id, stored.tenant, secret)
                self._stored.replace(stored.id, wrapped, name)

    def destroy(self, tenant: str) -> int:
        """Destroy all keys of the tenant: whatever is sealed with them cannot be read ever again, but with a backup of them.
        How many there were. May be repeated."""
        with self._turns.of(tenant), _asking():
            destroyed = self._stored.delete(tenant)
            self._let_go(tenant)
        return destroyed

    def keep_of(self, tenants: Iterable[str]) -> None:
        """Let go of what memory holds of other tenants' keys. Waits for nobody: event loops call it. What is still stored is
        unwrapped anew where it is needed."""
        kept = set(tenants)
        with self._memory:
            gone = {key.tenant for key in self._known.values()} - kept
        for tenant in gone:
            self._let_go(tenant)

    def seals_with(self, key_id: bytes | None, tenant: str) -> bool:
        """Whether a value with this key id is sealed as it would be now."""
        key = self.current(tenant)
        return key_id == (key.id if key is not None else None)

    async def _having(self, key_id: bytes) -> DataKey:
        known = self._known.get(key_id)
        return known if known is not None else await self._in_thread(self.find, key_id)

    async def _in_thread(self, ask: Callable[..., _Key], what: Any) -> _Key:
        """What `ask` gives. Whoever asks the same meanwhile, on whichever event loop, takes no other thread."""
        slot = ask.__name__, what
        with self._memory:
            asked = self._asked.get(slot)
            if asked is None:
                asked = self._asked[slot] = self._threads.submit(ask, what, since=time.monotonic())
                asked.add_done_callback(lambda _: self._asked.pop(slot, None))
        return await asyncio.shield(asyncio.wrap_future(asked))

    def _get(self, key_id: bytes) -> StoredKey:
        """Raises DecryptionFailed: there is none."""
        with _asking():
            stored = self._stored.get(key_id)
        if stored is None:
            raise not_opened("its data key is gone")
        return stored

    def _let_go(self, tenant: str) -> None:
        with self._memory:
            self._current.pop(tenant, None)
            self._known = {key_id: key for key_id, key in self._known.items() if key.tenant != tenant}

    def _remember(self, key: DataKey) -> DataKey:
        with self._memory:
            self._known[key.id] = key
        return key

    def _make(self, tenant: str) -> DataKey:
        key = DataKey(secrets.token_bytes(KEY_ID_BYTES), tenant, secrets.token_bytes(_SECRET_BYTES))
        wrapped, name = self._wrapping.wrap(key.id, tenant, key.secret)
        self._stored.add(StoredKey(key.id, tenant, wrapped, name))
        return self._remember(key)

    def _unwrap(self, stored: StoredKey) -> DataKey:
        known = self._known.get(stored.id)
        if known is None:
            known = self._remember(DataKey(stored.id, stored.tenant, self._wrapping.unwrap(stored)))
        return known


@contextmanager
def _asking() -> Iterator[None]:
    """The database that does not answer, in our own words."""
    try:
        yield
    except SQLAlchemyError as error:
        raise Unavailable(
            "The keys of what is stored cannot be had.", code="keys_unavailable", context={"error": type(error).__name__}
        ) from error
