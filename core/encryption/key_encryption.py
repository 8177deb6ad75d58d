"""Wrapping and unwrapping data keys by whatever holds the key-encryption key, as it is configured."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from core.alerts import AlertKind, raise_alert, recover_alert
from core.encryption import KEY_SOURCES, OFF
from core.encryption.local_keys import KEY_FILE, PREFIX, KeyFile, LocalKeys, key_file
from core.encryption.sources import KeySource, keys_unavailable
from core.errors import Unavailable
from core.settings import Settings, SettingsError

if TYPE_CHECKING:
    from core.encryption.data_keys import StoredKey

_SETTING = "GENAI_ENCRYPTION__SOURCE (encryption.source in the TOML file)"
_FORMER = "GENAI_ENCRYPTION__PREVIOUS_KEYS (encryption.previous_keys in the TOML file)"


class KeyEncryption:
    """Blocking. Only keys that the settings name, and those that lie with the platform, ever unwrap: what the database says
    of a data key decides nothing else."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._chosen = settings.encryption.chosen
        self.off = self._chosen == OFF

    def check(self, wrapped_by: Iterable[str]) -> None:
        """Try the key that wraps.

        Raises:
            SettingsError: a source is unknown or unusable, or a key that something is wrapped with is not configured.
            Unavailable: `keys_unavailable`: the source does not wrap.
        """
        if not self.off:
            KEY_SOURCES.require(self._chosen, _SETTING)
        names = set(wrapped_by)
        if self._chosen == "file":
            self._check_file(names)
        for name in names:
            if self._holder(name) is None:
                raise SettingsError(
                    f"Keys of what is stored are wrapped by {name}, which is not configured: add it to {_FORMER}."
                )
        if not self.off:
            self._source.wrap(bytes(32), {"use": "check"})

    def _check_file(self, names: Iterable[str]) -> None:
        """A key file that is missing is made for a new installation alone."""
        file, usual = key_file(self._settings), self._settings.path(KEY_FILE)
        if file.exists():
            return
        if any(name.startswith(PREFIX) for name in names):
            raise SettingsError(
                f"The key file {file} is missing, and what is stored cannot be read without it: put it back from its backup, "
                "or name it with GENAI_ENCRYPTION__KEY_FILE."
            )
        if usual.exists():
            raise SettingsError(
                f"GENAI_ENCRYPTION__KEY_FILE names {file}, which is missing, and the data directory has a key already: put "
                f"{usual} there, or name that."
            )

    def wrap(self, key_id: bytes, tenant: str, secret: bytes) -> tuple[bytes, str]:
        """The wrapped key, and what has wrapped it."""
        source = self._source
        with _told(source.name):
            return source.wrap(secret, _context(key_id, tenant)), source.name

    def unwrap(self, stored: "StoredKey") -> bytes:
        """Raises DecryptionFailed: it was changed, or is another tenant's. Unavailable: `keys_unavailable`."""
        holder = self._holder(stored.wrapped_by)
        if holder is None:
            raise keys_unavailable(stored.wrapped_by, "not configured")
        with _told(stored.wrapped_by):
            return holder.unwrap(stored.wrapped, _context(stored.id, stored.tenant))

    def rotate(self) -> None:
        """A new key of our own. Key services rotate theirs by themselves, and settings are changed by the operator."""
        if isinstance(self._source, KeyFile):
            self._source.rotate()

    @cached_property
    def _source(self) -> KeySource:
        """Raises SettingsError: it is `off`, or not usable."""
        KEY_SOURCES.require(self._chosen, _SETTING)
        source: KeySource = KEY_SOURCES.load(self._chosen)(self._settings)
        return source

    @cached_property
    def _local(self) -> LocalKeys:
        if not self.off and isinstance(self._source, LocalKeys):
            return self._source
        return LocalKeys(self._settings)

    @cached_property
    def _former(self) -> dict[str, KeySource]:
        """The key services that wrapped before, by what they call their keys."""
        found: dict[str, KeySource] = {}
        for former in self._settings.encryption.previous_keys:
            kind, _, key_id = former.get_secret_value().partition(":")
            if kind not in ("setting", "file"):
                KEY_SOURCES.require(kind, _FORMER)
                source: KeySource = KEY_SOURCES.load(kind)(self._settings, key_id)
                found[source.name] = source
        return found

    def _holder(self, name: str) -> KeySource | None:
        if name.startswith(PREFIX):
            return self._local if self._local.has(name) else None
        if not self.off and self._source.name == name:
            return self._source
        return self._former.get(name)


@contextmanager
def _told(source: str) -> Iterator[None]:
    """Tell the operator of a source that does not do what the block asks of it, and once it does again."""
    try:
        yield
    except Unavailable as error:
        raise_alert(AlertKind.KEYS_UNAVAILABLE, key=source, why=error.context.get("why"))
        raise
    recover_alert(AlertKind.KEYS_UNAVAILABLE, key=source)


def _context(key_id: bytes, tenant: str) -> Mapping[str, str]:
    return {"key": key_id.hex(), "tenant": tenant}
