"""`make bench-gateway`: what a request through the platform costs, beside other gateways, in one run. Judges nothing.

    python -m infra.bench.gateway [--peers DIRECTORY] [--rounds 5] [--seconds 4] [--connections 1,16]
        [--only whole|streamed|accounting]

All call the same mock provider (see `infra.bench.mock_provider`), one process each. The platform runs in the profile `full`:
a scoped key that is not the administrator's, an active budget in dollars, the ledger on PostgreSQL, the log line of each
request; nothing is cached. Beside it stands a second platform, alike but that it finds personal data in every prompt and puts
pseudonyms in its place: what that costs is a line of its own. A third one sends traces of one request in a hundred; the others
send none. What accounting adds to a request's CPU time comes last (see `infra.bench.accounting_cost`).

A round counts when all its answers have a good status and the provider has answered as many calls
as were made; otherwise the table says so in the figures' place, since they would flatter.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from infra.bench.collector import collector
from infra.bench.load import Round, Target, compare, has_wrk, median
from infra.bench.mock_provider import LISTENING
from infra.bench.peers import PEERS, Missing
from infra.postgresql import database_of_platform, postgresql
from infra.running import ROOT, Running, running_program

CONVERSATION = {"model": "mock", "messages": [{"role": "user", "content": "Say hello"}]}
#: The platform's doors: path, body, and whether a body asks for a stream or the path is for streams or whole answers alone.
_WHOLE: dict[str, tuple[str, dict[str, Any]]] = {
    "ours /v1/chat/completions": ("/v1/chat/completions", CONVERSATION),
    "ours /api/v1/chat": ("/api/v1/chat", CONVERSATION),
    "ours LangServe invoke": ("/api/v1/chat/invoke", {"input": CONVERSATION}),
}
_STREAMED: dict[str, tuple[str, dict[str, Any]]] = {
    "ours /v1/chat/completions": ("/v1/chat/completions", CONVERSATION | {"stream": True}),
    "ours /api/v1/chat": ("/api/v1/chat", CONVERSATION | {"stream": True}),
    "ours LangServe stream": ("/api/v1/chat/stream", {"input": CONVERSATION}),
}
#: The door that lines of their own show with personal data seen to, and with traces.
_OPENAI = "ours /v1/chat/completions"
_PRIVACY = {"GENAI_POLICIES__PII": '{"*": "pseudonymise"}'}
#: The mock provider's behaviours, each an alias of the same name.
MODELS = ("mock", "mock-20ms", "mock-paced", "mock-long", "mock-cut", "mock-failing")
_ALIAS = """\
[[models]]
alias = "{model}"
[[models.deployments]]
provider = "openai_compatible:{model}"
model = "{model}"
price = {{ input_usd_per_million = "0.15", output_usd_per_million = "0.6" }}
[providers."openai_compatible:{model}"]
base_url = "{provider}/v1"
api_key = "none"
"""


def main() -> int:
    """Start everything, load it, print a table for each kind of answer and number of connections."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, default=ROOT / ".bench" / "peers", help="where the peers are, or are put")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", default="1,16")
    parser.add_argument("--only", choices=("whole", "streamed", "accounting"))
    options = parser.parse_args()
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=160)
    if not has_wrk():
        console.print("wrk is not installed (Debian package: wrk): nothing can be measured")
        return 2
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="genai-gateway-", ignore_cleanup_errors=True)))
        provider = stack.enter_context(mock_provider())
        if options.only == "accounting":
            _print_accounting(scratch, provider, options, console)
            return 0
        _print_doors(stack, scratch, provider, options, console)
    if options.only is None:  # its servers alone, so that nothing else is running beside them
        with mock_provider() as provider, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
            _print_accounting(Path(place), provider, options, console)
    return 0


def _print_doors(stack: ExitStack, scratch: Path, provider: str, options: argparse.Namespace, console: Console) -> None:
    """Every door beside the peers', and beside the same with personal data seen to, or traced."""
    peers = _peers(stack, options.peers, provider, console)
    sink = stack.enter_context(collector(keep=False))
    ours = stack.enter_context(full_profile(scratch, provider))
    beside = {
        "ours /v1, PII on": stack.enter_context(full_profile(scratch / "private", provider, _PRIVACY)),
        "ours /v1, traces 1 %": stack.enter_context(full_profile(scratch / "traced", provider, _traced(sink.url))),
    }
    for kind, doors in (("whole", _WHOLE), ("streamed", _STREAMED)):
        if options.only not in (None, kind):
            continue
        body = CONVERSATION | ({"stream": True} if kind == "streamed" else {})
        targets = [Target("the mock itself", f"{provider}/v1/chat/completions", body)]
        targets += [Target(name, peer.url, body, peer.headers, peer.pid) for name, peer in peers.items()]
        targets += [_target(name, ours, *door) for name, door in doors.items() if _is_there(ours, door[0])]
        targets += [_target(name, platform, *doors[_OPENAI]) for name, platform in beside.items()]
        for connections in map(int, options.connections.split(",")):
            results = compare(
                targets,
                lambda: calls(provider),
                connections=connections,
                rounds=options.rounds,
                seconds=options.seconds,
                scratch=scratch,
            )
            console.print(_table(kind, connections, results, list(peers)))


def _target(name: str, platform: Running, path: str, asked: dict[str, Any]) -> Target:
    assert platform.process is not None
    headers = {"authorization": f"Bearer {scoped_key(platform)}"}
    return Target(name, platform.url + path, asked, headers, platform.process.pid)


def _traced(url: str) -> dict[str, str]:
    """The settings of a platform that records one request in a hundred; the others record none."""
    share = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": url, **share}


def _print_accounting(place: Path, provider: str, options: argparse.Namespace, console: Console) -> None:
    from infra.bench import accounting_cost  # it stands on this module

    connections = [int(number) for number in options.connections.split(",")]
    found = accounting_cost.measured(
        place,
        provider,
        kinds=("whole", "streamed"),
        connections=connections,
        rounds=options.rounds,
        seconds=options.seconds,
    )
    console.print(accounting_cost.table(found))


@contextmanager
def mock_provider() -> Iterator[str]:
    """A mock provider in a process of its own; its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "infra.bench.mock_provider", "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(LISTENING), line
        yield line.removeprefix(LISTENING).strip()
    finally:
        process.terminate()
        process.wait()


def calls(provider: str) -> int:
    """How many calls the mock provider has answered, once those that were under way are over."""
    return served(provider)["calls"]


def served(provider: str) -> dict[str, int]:
    """What the mock provider has counted; see there."""
    before: dict[str, int] = {}
    now: dict[str, int]
    with httpx.Client(trust_env=False) as client:
        while (now := client.get(f"{provider}/count").json()) != before:
            before = now
            time.sleep(0.1)
    return now


def aliases(provider: str) -> str:
    """The configuration file's part with each behaviour of the mock provider as an alias."""
    return "".join(_ALIAS.format(model=model, provider=provider) for model in MODELS)


@contextmanager
def full_profile(
    directory: Path,
    provider: str,
    more: Mapping[str, str] = MappingProxyType({}),
    *,
    program: tuple[str, ...] = Running.program,
) -> Iterator[Running]:
    """A ready platform before the mock provider, its database on PostgreSQL, with these settings besides."""
    directory.mkdir(parents=True, exist_ok=True)
    with postgresql(waits_for_disk=True) as server:
        configuration = directory / "genai.toml"
        configuration.write_text(aliases(provider))
        with running_program(
            program,
            directory / "platform",
            GENAI_CONFIG=str(configuration),
            GENAI_DATABASE_URL=database_of_platform(server, "genai"),
            GENAI_HANDBOOK="false",
            GENAI_LOCAL__WARM="false",
            **more,
        ) as platform:
            yield platform


def scoped_key(platform: Running) -> str:
    """A key that may call models and not manage the platform, under a budget that it will not come to the end of."""
    with platform.client() as client:
        made = client.post("/api/v1/keys", json={"name": "bench", "role": "user"}).raise_for_status().json()
        budget = {"name": "bench", "scope": {"key": made["id"]}, "limit_usd": 1_000_000, "window": "month"}
        client.post("/api/v1/budgets", json=budget).raise_for_status()
    return str(made["key"])


def _peers(stack: ExitStack, directory: Path, provider: str, console: Console) -> dict[str, Any]:
    directory.mkdir(parents=True, exist_ok=True)
    started = {}
    for name, start in PEERS.items():
        try:
            with console.status(f"starting {name}"):
                started[name] = stack.enter_context(start(directory.resolve(), provider))
        except Missing as reason:
            console.print(f"SKIPPED {name}: {reason}", markup=False)
    return started


def _is_there(platform: Running, path: str) -> bool:
    with platform.client() as client:
        return client.post(path, json={}).status_code != 404


def _table(kind: str, connections: int, results: dict[str, list[Round]], peers: list[str]) -> Table:
    title = f"{kind} answers, {connections} connection{'s' if connections > 1 else ''}"
    what = "requests/s" if kind == "whole" else "streams/s"
    table = Table(title=title, title_justify="left", box=None)
    for column in ("", what, "from – to", "p50 ms", "p99 ms", "added p50 ms", "CPU ms", *(f"times {peer}" for peer in peers)):
        table.add_column(column, justify="left" if not column else "right")
    counted = {name: all(one.whole(connections) for one in rounds) for name, rounds in results.items()}
    bases = {peer: median(results[peer], "per_s") if counted[peer] else 0.0 for peer in peers}
    direct = next(iter(results.values()))
    for name, rounds in results.items():
        wrong = next((one for one in rounds if not one.whole(connections)), None)
        if wrong is not None:
            problem = wrong.problem or f"{wrong.requests} requests, but the provider answered {wrong.calls} calls"
            table.add_row(name, f"NOT COUNTED: {problem}")
            continue
        rate, p50 = median(rounds, "per_s"), median(rounds, "p50_ms")
        spread = f"{min(one.per_s for one in rounds):.0f} – {max(one.per_s for one in rounds):.0f}"
        ratios = [f"{rate / base:.2f}" if base else "" for base in bases.values()]
        added = f"{p50 - median(direct, 'p50_ms'):.2f}"
        cpu = median(rounds, "cpu_ms")
        table.add_row(
            name,
            f"{rate:.0f}",
            spread,
            f"{p50:.2f}",
            f"{median(rounds, 'p99_ms'):.2f}",
            added,
            f"{cpu:.2f}" if cpu else "",
            *ratios,
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
