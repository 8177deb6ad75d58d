"""What accounting costs a request: CPU time of all the platform's processes, with everything on and with nothing of it.

On: each call in the ledger on PostgreSQL (flushed before its answer ends), a budget in dollars, a rate limit of requests and
tokens, tags, metrics. Off: `infra.bench.unaccounted` in the same profile without budget, rate limit and metrics. The log line
of each request is in both. Rounds alternate, and what is told is the difference between neighbours.
"""

import secrets
import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.table import Table

from infra.bench import gateway
from infra.bench.load import Round, Target, compare
from infra.running import Running

#: Milliseconds of CPU time that all of it may add to a request.
PROMISED_MS = 0.3
ON, OFF = "accounted", "not accounted"
#: A server that puts nothing on record.
_UNACCOUNTED = ("-m", "infra.bench.unaccounted")
_PATH = "/v1/chat/completions"
_TAGS = {"x-genai-tags": "team=search, feature=summary"}


def measured(
    place: Path, provider: str, *, kinds: Sequence[str], connections: Sequence[int], rounds: int, seconds: int
) -> Mapping[tuple[str, int], Mapping[str, list[Round]]]:
    """The rounds of both, by kind of answer (`whole`, `streamed`) and number of connections."""
    with ExitStack() as stack:
        metrics = {"GENAI_METRICS__TOKEN": secrets.token_urlsafe(32)}
        on = stack.enter_context(gateway.full_profile(place / "on", provider, metrics))
        off = stack.enter_context(gateway.full_profile(place / "off", provider, program=_UNACCOUNTED))
        keys = {ON: _limited_key(on), OFF: _key(off)}
        found = {}
        for kind in kinds:
            body = gateway.CONVERSATION | ({"stream": True} if kind == "streamed" else {})
            targets = []
            for name, platform in ((ON, on), (OFF, off)):
                assert platform.process is not None
                headers = {"authorization": f"Bearer {keys[name]}", **_TAGS}
                targets.append(Target(name, platform.url + _PATH, body, headers, platform.process.pid))
            for number in connections:
                found[kind, number] = compare(
                    targets,
                    lambda: gateway.calls(provider),
                    connections=number,
                    rounds=rounds,
                    seconds=seconds,
                    scratch=place,
                )
        return found


def added_ms(results: Mapping[str, Sequence[Round]]) -> list[float]:
    """Of each pair of neighbours, the smallest first.

    Raises:
        AssertionError: requests failed, or the provider was called more or less often than there were requests.
    """
    for name, rounds in results.items():
        for one in rounds:
            assert not one.problem, (name, one)
            assert one.requests <= one.calls, (name, one)
    return sorted(on.cpu_ms - off.cpu_ms for on, off in zip(results[ON], results[OFF], strict=True))


def table(found: Mapping[tuple[str, int], Mapping[str, Sequence[Round]]]) -> Table:
    """For people to read."""
    shown = Table(title="accounting: CPU ms a request, all of the platform's processes", title_justify="left", box=None)
    for column in ("answers", "connections", "on", "off", "added", "from – to"):
        shown.add_column(column, justify="left" if column == "answers" else "right")
    for (kind, number), results in found.items():
        added = added_ms(results)
        medians = (statistics.median(one.cpu_ms for one in results[name]) for name in (ON, OFF))
        figures = [f"{each:.3f}" for each in (*medians, statistics.median(added))]
        shown.add_row(kind, str(number), *figures, f"{added[0]:.3f} – {added[-1]:.3f}")
    return shown


def _key(platform: Running) -> str:
    with platform.client() as client:
        made = client.post("/api/v1/keys", json={"name": "bench", "role": "user"}).raise_for_status().json()
    return str(made["key"])


def _limited_key(platform: Running) -> str:
    key = gateway.scoped_key(platform)
    with platform.client() as client:
        limit = {"name": "bench", "each": "key", "requests": 100_000_000, "tokens": 10_000_000_000, "window": "1m"}
        client.post("/api/v1/rate-limits", json=limit).raise_for_status()
    return key
