"""Sources of metrics: how deployments stand, and how the connections to providers are used."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from core.metrics import families
from core.metrics.sources import Reading
from providers.breaker import State

if TYPE_CHECKING:
    from providers.models import Models


def standings(models: "Models") -> Iterator[Reading]:
    """Each deployment that is configured, once, however many aliases name it. Those that are called with a tenant's own
    credential are none of the operator's."""
    told = {(each["provider"], each["model"]): each for alias in models.health() for each in alias["deployments"]}
    for deployment, standing in told.items():
        well = standing["breaker"] == State.CLOSED and not standing["held_s"]
        yield Reading(families.HEALTHY, float(well), deployment)
        yield Reading(families.IN_FLIGHT, standing["in_flight"], deployment)
        for state in State:
            yield Reading(families.BREAKER, float(standing["breaker"] == state), (*deployment, state.value))


def connections(models: "Models") -> Iterator[Reading]:
    """The platform's own connections to providers; an SDK's own are not counted."""
    for provider, use in models.connections():
        yield Reading(families.HTTP_POOL, use.in_use, (provider, "in_use"))
        yield Reading(families.HTTP_POOL, use.idle, (provider, "idle"))
        yield Reading(families.HTTP_POOL_SIZE, use.limit, (provider,))
