"""Which of a deployment's failures an operator is told of, and when they are over. Cheap: asked at every call."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.alerts import AlertKind, raise_alert, recover_alert
from providers.failures import Failure, Kind

if TYPE_CHECKING:  # attempts call this module
    from providers.served import Served


def alarm(served: "Served", failure: Failure) -> None:
    """Tell of a refused credential, a model that is not there, and a deployment whose breaker is open. Each deployment has its
    own: a credential may hold for one model of a provider and not for another."""
    facts = {"provider": served.provider_name, "model": served.name}
    if served.standing.account:
        facts["credential"] = served.standing.account
    if failure.kind is Kind.AUTH:
        raise_alert(AlertKind.AUTHENTICATION_FAILED, key=_key(served), **facts)
    elif failure.kind is Kind.MISSING:
        raise_alert(AlertKind.MODEL_MISSING, key=_key(served), **facts)
    if not served.standing.breaker.closed:
        raise_alert(AlertKind.PROVIDER_OUTAGE, key=_key(served), **facts, reason=failure.kind.value)


def exhausted(alias: str, deployments: Sequence["Served"]) -> None:
    """A request found no deployment of the alias that answers. Tell of it where all are left alone, and none for a credential
    that is a tenant's own trouble."""
    if all(not served.standing.breaker.closed and not served.standing.account for served in deployments):
        raise_alert(AlertKind.ALIAS_UNUSABLE, key=alias, alias=alias)


def relieve(served: "Served", alias: str) -> None:
    """It has answered, for the alias: what was told of them is over. Costs a comparison where nothing was."""
    recover_alert(AlertKind.ALIAS_UNUSABLE, key=alias)
    if not served.standing.ailing:
        return
    served.standing.ailing = False
    recover_alert(AlertKind.AUTHENTICATION_FAILED, key=_key(served))
    recover_alert(AlertKind.MODEL_MISSING, key=_key(served))
    recover_alert(AlertKind.PROVIDER_OUTAGE, key=_key(served))


def _key(served: "Served") -> str:
    return served.standing.name
