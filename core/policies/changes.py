"""A change of a tenant's policies as it is put on record: which sections, and what they became."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from core.audit import Detail


def told(given: Mapping[str, Any], own: Iterable[str]) -> dict[str, Detail]:
    """The details of the event. `given` are the sections that were changed, as JSON, None where the deployment's holds again;
    `own` those that are the tenant's now.

    Patterns and topics of guards may name people: of options a digest alone is told. What is too long for an event is cut;
    the digest is over all of it.
    """
    details: dict[str, Detail] = {"sections": sorted(given), "own": sorted(own), "digest": _digest(given)}
    details.update({name: _lines(name, section) for name, section in given.items()})
    return details


def _lines(name: str, section: Any) -> Detail:
    if section is None:
        return "default"
    if name == "pii":
        return [f"{capability}: {'; '.join(map(_rule, rules)) or 'off'}" for capability, rules in sorted(section.items())]
    if name == "guards":
        return [_guard(rule) for rule in section]
    return [f"{field}: {_said(value)}" for field, value in section.items() if value is not None]


def _rule(rule: Mapping[str, Any]) -> str:
    types = " ".join(rule["types"]) if rule["types"] else "all"
    return f"{rule['mode']} {types} on {' '.join(rule['on'])}"


def _guard(rule: Mapping[str, Any]) -> str:
    where = [" ".join(rule[name]) for name in ("on", "aliases", "capabilities") if rule[name]]
    options = f", options {_digest(rule['options'])}" if rule["options"] else ""
    return f"{rule['guard']} {rule['mode']}: {', '.join(where)}{options}"


def _said(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _digest(value: Any) -> str:
    return hashlib.blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()
