"""Aliases as the TOML of the settings: `[[models]]`, and `[[prompts]]` for the versions of prompts that they pin."""

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from pydantic import TypeAdapter, ValidationError

from core.errors import InvalidRequest
from core.model_settings import PromptText, PromptTexts

_PROMPTS: Final[TypeAdapter[tuple[PromptText, ...]]] = TypeAdapter(PromptTexts)


def as_toml(contents: Sequence[Mapping[str, Any]], prompts: Sequence[PromptText] = ()) -> str:
    """The aliases with their prompts, as a file of settings has them."""
    import tomlkit

    told = {"prompts": [each.model_dump() for each in prompts], "models": [_without_null(each) for each in contents]}
    return tomlkit.dumps({name: tables for name, tables in told.items() if tables})


def from_toml(text: str) -> tuple[list[dict[str, Any]], tuple[PromptText, ...]]:
    """What a text of TOML says of each alias, not yet checked, and the texts of prompts.

    Raises:
        InvalidRequest: `invalid_toml`: it is none, or holds something beside `[[models]]` and `[[prompts]]`; `invalid_prompt`.
    """
    try:
        told = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reason = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "it is nested too deeply"
        raise InvalidRequest(f"This is no TOML: {reason[:200]}.", code="invalid_toml", param="toml") from None
    if strange := sorted(told.keys() - {"models", "prompts"}):
        text = f"{strange[0][:64]!r} is no part of the registry: give [[models]] and [[prompts]] alone."
        raise InvalidRequest(text, code="invalid_toml", param="toml")
    models = told.get("models", [])
    if not isinstance(models, list) or not all(isinstance(each, dict) for each in models):
        raise InvalidRequest("models: write [[models]], once for each alias.", code="invalid_toml", param="toml")
    names = [each.get("alias") for each in models]
    if twice := sorted({str(name)[:128] for name in names if names.count(name) > 1}):
        raise InvalidRequest(f"The alias {twice[0]!r} is given twice.", code="invalid_toml", param="toml")
    try:
        return models, _PROMPTS.validate_python(told.get("prompts", []))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(("prompts", *map(str, problem["loc"])))[:200]
        reason = problem["msg"].removeprefix("Value error, ")
        raise InvalidRequest(f"{where}: {reason}", code="invalid_prompt", param="toml") from None


def _without_null(content: Mapping[str, Any]) -> dict[str, Any]:
    """TOML has no null, which the options of a guard may hold (a JSON schema's `default`): they are text in JSON then."""
    guards = content.get("guards", [])
    told = [{**each, "options": _json(each["options"])} if _has_null(each.get("options", {})) else each for each in guards]
    return {**content, **({"guards": told} if guards else {})}


def _json(options: Any) -> str:
    return orjson.dumps(options).decode()


def _has_null(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_null, value.values()))
    return any(map(_has_null, value)) if isinstance(value, list | tuple) else value is None
