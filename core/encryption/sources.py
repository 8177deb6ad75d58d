"""What a source of the key-encryption key is."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from core.errors import Unavailable
from core.settings import Settings, SettingsError


@runtime_checkable
class KeySource(Protocol):
    """Wraps data keys. Calls block, and may be made from any thread at once.

    `key_id` says which key of the source; None: the one that the settings name. Building one is cheap and asks nobody.
    """

    def __init__(self, settings: Settings, key_id: str | None = None) -> None: ...

    @property
    def name(self) -> str:
        """The source and its key as a wrapped key names them, `aws_kms:arn:…`. What has this name can be unwrapped here."""
        ...

    def wrap(self, secret: bytes, context: Mapping[str, str]) -> bytes:
        """Bound to `context`, which `unwrap` needs again.

        Raises:
            Unavailable: `keys_unavailable`: the source does not answer, or refuses.
        """
        ...

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """Raises DecryptionFailed: it was changed, or is another's. Unavailable: `keys_unavailable`."""
        ...


def keys_unavailable(source: str, why: str) -> Unavailable:
    """The source of keys does not do what it is asked; `why` goes into the log and must not hold a secret."""
    return Unavailable(
        "The keys of what is stored cannot be had.", code="keys_unavailable", context={"source": source, "why": why}
    )


def needed(value: str | None, setting: str, what: str) -> str:
    """The value. Raises SettingsError where there is none; the message names the setting and says what it takes."""
    if not value:
        name = f"GENAI_ENCRYPTION__{setting.upper()} (encryption.{setting} in the TOML file)"
        raise SettingsError(f"These settings cannot be used:\n  {name}: {what}")
    return value
