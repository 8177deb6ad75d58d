"""References to secrets: found in what was configured, resolved at once and in parallel, at the start."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson

from core.cloud_services import ServiceFailed
from core.secret_managers import SECRET_MANAGERS

_AT_ONCE = 8


class SecretMissing(Exception):
    """The secret that a setting refers to cannot be had. The message is safe to show and holds no secret."""


def resolve(references: Iterable[str]) -> Mapping[str, str | SecretMissing]:
    """What each refers to, or why it cannot be had. Each is asked for once."""
    wanted = sorted(set(references))
    if len(wanted) == 1:
        return {wanted[0]: _resolved(wanted[0])}
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="secrets") as pool:
        return dict(zip(wanted, pool.map(_resolved, wanted), strict=True))


def _resolved(reference: str) -> str | SecretMissing:
    scheme, _, rest = reference.partition(":")
    identifier, _, field = rest.partition("#")
    try:
        secret: str = SECRET_MANAGERS.load(scheme)(identifier)
        found = _field(secret, field) if field else secret
    except (SecretMissing, ServiceFailed) as error:
        return SecretMissing(f"{scheme}:{identifier} cannot be had: {error}")
    return found if found else SecretMissing(f"{scheme}:{identifier} is empty")


def _field(secret: str, name: str) -> str:
    try:
        fields: Any = orjson.loads(secret)
    except orjson.JSONDecodeError:
        fields = None
    if not isinstance(fields, dict) or not isinstance(fields.get(name), str | int):
        raise SecretMissing(f"it has no field {name!r}")
    return str(fields[name])
