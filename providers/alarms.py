"""Which of a deployment's failures an operator is told of, and when they are over. Cheap: asked at every call."""

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


def relieve(served: "Served") -> None:
    """It has answered: what was told of it is over. Costs a comparison where nothing was."""
    if not served.standing.ailing:
        return
    served.standing.ailing = False
    recover_alert(AlertKind.AUTHENTICATION_FAILED, key=_key(served))
    recover_alert(AlertKind.MODEL_MISSING, key=_key(served))
    recover_alert(AlertKind.PROVIDER_OUTAGE, key=_key(served))


def _key(served: "Served") -> str:
    return served.standing.name
