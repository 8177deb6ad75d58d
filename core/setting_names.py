"""What a setting is called, so that an error names the one that was set."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel


def setting_name(location: tuple[int | str, ...]) -> str:
    """`("local", "slots")` → `GENAI_LOCAL__SLOTS (local.slots in the TOML file)`."""
    if not location:
        return "settings"
    variable = "GENAI_" + "__".join(str(part).upper() for part in location)
    return f"{variable} ({'.'.join(map(str, location))} in the TOML file)"


def is_outside(location: tuple[int | str, ...], others: Sequence[tuple[int | str, ...]]) -> bool:
    """Whether something within it is wrong as well: pydantic counts an entry that is wrong as none."""
    return any(len(other) > len(location) and other[: len(location)] == location for other in others)


def no_json(settings: type[BaseModel], field: str, variables: Mapping[str, str]) -> list[str]:
    """The variables below a field that hold no JSON, though what they set is a list, a table or a section."""
    return [
        name
        for name, value in sorted(variables.items())
        if name.upper().startswith(f"GENAI_{field.upper()}__")
        and _holds_json(settings, name.upper().removeprefix("GENAI_").lower().split("__"))
        and not _is_json(value)
    ]


def _holds_json(settings: type[BaseModel], path: list[str]) -> bool:
    annotation: Any = settings
    for name in path:
        field = getattr(annotation, "model_fields", {}).get(name)
        if field is None:
            return False
        annotation = field.annotation
    kinds = [get_origin(each) or each for each in (annotation, *get_args(annotation))]
    return any(isinstance(kind, type) and issubclass(kind, (BaseModel, Mapping, list, tuple, frozenset)) for kind in kinds)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
