"""What is told of, and how bad it is."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any


class Severity(StrEnum):
    """To be known; to be looked at in working hours; to be looked at now."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


class AlertKind(StrEnum):
    """All that is told of. A label for metrics and routes: no name of a model or a caller is in it."""

    BUDGET_USED = "budget_used"
    BUDGET_FORECAST = "budget_forecast"
    SPEND_SPIKE = "spend_spike"
    UNPRICED_MODEL = "unpriced_model"
    FALLBACK_PRICE = "fallback_price"
    PROVIDER_OUTAGE = "provider_outage"
    ALIAS_UNUSABLE = "alias_unusable"
    AUTHENTICATION_FAILED = "authentication_failed"
    MODEL_MISSING = "model_missing"
    ERROR_RATE = "error_rate"
    LATENCY = "latency"
    SAMPLE_RATIO = "sample_ratio"
    DEGRADATION = "degradation"
    DRIFT = "drift"
    LEDGER_SPOOLING = "ledger_spooling"
    EMBEDDING_MISMATCH = "embedding_mismatch"
    KEYS_UNAVAILABLE = "keys_unavailable"
    CERTIFICATE_UNUSABLE = "certificate_unusable"
    CERTIFICATE_EXPIRES = "certificate_expires"


_SEVERITIES: Mapping[AlertKind, Severity] = MappingProxyType(
    dict.fromkeys(AlertKind, Severity.CRITICAL)
    | dict.fromkeys(
        (
            AlertKind.BUDGET_FORECAST,
            AlertKind.SPEND_SPIKE,
            AlertKind.UNPRICED_MODEL,
            AlertKind.FALLBACK_PRICE,
            AlertKind.ERROR_RATE,
            AlertKind.LATENCY,
            AlertKind.SAMPLE_RATIO,
            AlertKind.DEGRADATION,
            AlertKind.DRIFT,
            AlertKind.CERTIFICATE_EXPIRES,
        ),
        Severity.WARNING,
    )
)
#: Of a budget that is used up to the share and beyond.
_OF_SHARES = ((1.0, Severity.CRITICAL), (0.8, Severity.WARNING), (0.0, Severity.INFO))
#: Facts that say of what an alert is.
_SUBJECTS = ("budget", "provider", "model", "tier", "credential", "alias", "version", "metric", "collection", "experiment")


def severity_of(kind: AlertKind, facts: Mapping[str, Any]) -> Severity:
    """How bad an alert is."""
    if kind is AlertKind.BUDGET_USED:
        share = facts.get("share", 1.0)
        return next(severity for least, severity in _OF_SHARES if share >= least)
    return _SEVERITIES[kind]


def subject_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the facts that say of what it is: a budget, a provider's deployment, an alias."""
    return {name: facts[name] for name in _SUBJECTS if facts.get(name)}
