"""The fields of the settings that hold a secret, and may refer to one instead."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, SecretStr

from core.secret_managers import is_reference
from core.settings import SettingsError, setting_name

_URLS_WITH_PASSWORDS = ("database_url", "redis_url", "direct_url")


def with_secrets(section: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """What is given for a section, its references to secrets resolved.

    Raises:
        SettingsError: they cannot be had; the message names the settings.
    """
    found = dict(_references(section, given, ()))
    if not found:
        return dict(given)
    from core.secret_managers.references import SecretMissing, resolve

    resolved = resolve(found.values())
    missing = [
        f"  {setting_name(place)}: {why}"
        for place, reference in found.items()
        if isinstance(why := resolved[reference], SecretMissing)
    ]
    if missing:
        raise SettingsError("These settings cannot be used:\n" + "\n".join(missing))
    complete: dict[str, Any] = dict(given)
    for place, reference in found.items():
        level: Any = complete
        for name in place[:-1]:
            level[name] = list(level[name]) if isinstance(level[name], list | tuple) else dict(level[name])
            level = level[name]
        level[place[-1]] = resolved[reference]
    return complete


def _references(
    section: type[BaseModel], given: Mapping[str, Any], above: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """(place, reference) of each secret that is only referred to."""
    for name, field in section.model_fields.items():
        value, kind = given.get(name), field.annotation
        if isinstance(value, Mapping):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _references(kind, value, (*above, name))
            elif get_origin(kind) is dict and isinstance(inner := get_args(kind)[1], type) and issubclass(inner, BaseModel):
                for key, below in value.items():
                    if isinstance(below, Mapping):
                        yield from _references(inner, below, (*above, name, key))
        elif isinstance(value, list | tuple) and get_origin(kind) is tuple:
            inner = get_args(kind)[0]
            for number, below in enumerate(value):
                if isinstance(below, Mapping) and isinstance(inner, type) and issubclass(inner, BaseModel):
                    yield from _references(inner, below, (*above, name, number))
        elif (SecretStr in (kind, *get_args(kind)) or name in _URLS_WITH_PASSWORDS) and is_reference(value):
            yield (*above, name), str(value)
