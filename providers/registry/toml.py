"""Aliases as the TOML of the settings: `[[models]]`."""

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import InvalidRequest


def as_toml(contents: Sequence[Mapping[str, Any]]) -> str:
    """The aliases, as a file of settings has them."""
    import tomlkit

    return tomlkit.dumps({"models": [dict(each) for each in contents]}) if contents else ""


def from_toml(text: str) -> list[dict[str, Any]]:
    """What a text of TOML says of each alias, not yet checked.

    Raises:
        InvalidRequest: `invalid_toml`: it is none, or holds something beside `[[models]]`.
    """
    try:
        told = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reason = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "it is nested too deeply"
        raise InvalidRequest(f"This is no TOML: {reason[:200]}.", code="invalid_toml", param="toml") from None
    if strange := sorted(told.keys() - {"models"}):
        text = f"{strange[0][:64]!r} is no part of the registry: give [[models]] alone."
        raise InvalidRequest(text, code="invalid_toml", param="toml")
    models = told.get("models", [])
    if not isinstance(models, list) or not all(isinstance(each, dict) for each in models):
        raise InvalidRequest("models: write [[models]], once for each alias.", code="invalid_toml", param="toml")
    names = [each.get("alias") for each in models]
    if twice := sorted({str(name)[:128] for name in names if names.count(name) > 1}):
        raise InvalidRequest(f"The alias {twice[0]!r} is given twice.", code="invalid_toml", param="toml")
    return models
