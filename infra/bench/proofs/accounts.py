"""What is counted, spent and refused, and what counting costs."""

import asyncio
import statistics
from pathlib import Path

from infra.bench import accounting_cost, counting, gateway, overspending
from infra.bench.counts import Counts, Figures


def counted(place: Path, counts: Counts) -> Figures:
    """10,000 requests, a fifth of them with faults: ledger, analytics, Prometheus and the provider count the same."""
    return asyncio.run(counting.counted(place, requests=counts.requests // 10))


def overspent(place: Path, counts: Counts) -> Figures:
    """200 requests at once over four processes, before a budget with room for 50: exactly those are answered, to the token."""
    return asyncio.run(overspending.overspent(place, asked=4 * counts.room, room=counts.room, killed=False))


def overspent_killed(place: Path, counts: Counts) -> Figures:
    """The same, with one of the processes killed in the middle: the limit holds, and what it had reserved comes back."""
    return asyncio.run(overspending.overspent(place, asked=4 * counts.room, room=counts.room, killed=True))


def accounting(place: Path, counts: Counts) -> Figures:
    """Ledger, cost, budgets, limits and metrics together add at most 0.3 ms of CPU to a request, the flush included."""
    with gateway.mock_provider() as provider:
        found = accounting_cost.measured(
            place, provider, kinds=("whole", "streamed"), connections=(1, 16), rounds=counts.rounds, seconds=4
        )
    added = {f"{kind}_{number}": statistics.median(accounting_cost.added_ms(each)) for (kind, number), each in found.items()}
    assert counts.is_small or max(added.values()) <= accounting_cost.PROMISED_MS, added
    return {f"{name}_added_ms": value for name, value in added.items()}
