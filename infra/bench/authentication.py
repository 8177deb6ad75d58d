"""`make bench-auth`: what authentication and authorisation add to a request, in CPU time of the platform's process.

    python -m infra.bench.authentication [--requests 20000]

The same stack of middleware with `Authentication` and a route that asks for a scope, beside the same without either: in one
process, in turns, with a warm cache. For each kind of credential, and for both kinds of route that the platform has; keys are
narrowed as far as they can be, and the tenant has policies.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any

import structlog
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from core.database import Database, migrate
from core.policies.policy import Policy
from core.policies.store import Policies
from core.principals import SYSTEM, Principal, Scope
from core.settings import Settings
from server import error_responses
from server.access.access import Access
from server.access.keys import KeyRights
from server.access.tokens import BrowserUse
from server.auth import COOKIE, Authentication, requires
from server.body import BodyGuard
from server.edge import Edge
from server.gate import guarded

#: What is promised, in microseconds a request.
PROMISED_US = 100.0
_ROUNDS = 10
#: As many of each limit as a key can have of networks.
_LIMITS = 100
_ORIGIN = "https://app.example.com"
Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Added:
    """Microseconds of CPU that one request takes without and with authentication, as medians of the rounds."""

    credential: str
    route: str
    without_us: float
    with_us: float

    @property
    def added_us(self) -> float:
        return self.with_us - self.without_us


async def measure(directory: Path, requests: int) -> list[Added]:
    """Every credential by every kind of route; `requests` for each of them with and without, after a warm-up."""
    settings = Settings.load(data_dir=directory)
    await asyncio.to_thread(migrate, settings)
    database = Database(settings)
    access = await Access.open(settings, database)
    watching = asyncio.create_task(access.watch())
    try:
        plain, behind = _app(settings, None), _app(settings, access)
        found = []
        for credential, headers in (await _credentials(access)).items():
            for route in ("/described", "/plain"):
                taken: dict[bool, list[float]] = {False: [], True: []}
                for number in range(_ROUNDS + 1):
                    for guard, app in ((False, plain), (True, behind)):
                        spent = await _cpu_us(app, route, headers, requests // _ROUNDS)
                        if number:  # the first warms up
                            taken[guard].append(spent)
                found.append(Added(credential, route, *(statistics.median(taken[guard]) for guard in (False, True))))
        return found
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await database.close()


def _app(settings: Settings, access: Access | None) -> FastAPI:
    """The platform's layers before a route of FastAPI's and one as LangServe's are. Without `access` everybody comes in."""
    layers = [Middleware(Edge), *([Middleware(Authentication, access=access, policies=_policies())] if access else [])]
    app = FastAPI(middleware=[*layers, Middleware(BodyGuard, limits=settings.limits)])
    error_responses.install(app)

    async def answer(request: Request) -> Response:
        return PlainTextResponse("ok")

    if access is None:
        app.add_api_route("/described", answer)
        app.add_route("/plain", answer)
    else:

        async def for_principal(_: Annotated[Principal, requires(Scope.CHAT_INVOKE)]) -> Response:
            return PlainTextResponse("ok")

        app.add_api_route("/described", for_principal)
        app.add_route("/plain", guarded(answer, Scope.CHAT_INVOKE))
    return app


def _policies() -> Policies:
    """Of a tenant that has decided everything: each section holds something."""
    policy = {
        "pii": {"*": "pseudonymise"},
        "guards": [{"guard": "prompt_injection"}],
        "data": {"regions": ["eu-*"]},
        "browsers": {"origins": [*(f"https://app{number}.example.com" for number in range(49)), _ORIGIN]},
        "retention": {"conversations_days": 30},
    }
    return Policies(Policy.model_validate(policy))


async def _credentials(access: Access) -> dict[str, Headers]:
    """A header for each kind: an API key that is narrowed as far as one can be, an access token of it, a cookie, and a token
    for the pages of another origin. Of the networks it is the last one that fits."""
    models, collections = (frozenset(f"{kind}-{number}" for number in range(_LIMITS)) for kind in ("model", "collection"))
    networks = tuple(map(ip_network, (*(f"10.{number}.0.0/16" for number in range(_LIMITS - 1)), "127.0.0.0/8")))
    scopes = frozenset({Scope.CHAT_INVOKE})
    narrow = KeyRights("user", scopes=scopes, models=models, collections=collections, networks=networks)
    row, key = await access.keys.create(SYSTEM, "measured", narrow)
    principal = await access.by_key(key)
    assert principal is not None
    token = (await access.tokens.issue(principal, None, refreshable=False)).access_token
    cookie = await access.sessions.open(key_id=row.id)
    use = BrowserUse(_ORIGIN, 3600, models=models, collections=collections)
    browser = (await access.tokens.issue_for_browser(principal, scopes, use)).access_token
    return {
        "API key": [(b"authorization", f"Bearer {key}".encode())],
        "access token (ES256)": [(b"authorization", f"Bearer {token}".encode())],
        "session cookie": [(b"cookie", f"{COOKIE}={cookie}".encode()), (b"sec-fetch-site", b"same-origin")],
        "browser token": [(b"authorization", f"Bearer {browser}".encode()), (b"origin", _ORIGIN.encode())],
    }


async def _cpu_us(app: Callable[..., Awaitable[None]], path: str, headers: Headers, count: int) -> float:
    """Microseconds of this process for one request."""
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1"), (b"accept", b"*/*"), (b"user-agent", b"bench"), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    statuses = set()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.add(message["status"])

    started = time.process_time()
    for _ in range(count):
        await app(dict(scope, state={}), receive, send)
    spent = time.process_time() - started
    assert statuses == {200}, statuses
    return spent / count * 1e6


def measured(requests: int) -> list[Added]:
    """`measure` in a directory that is gone afterwards, without a line of log for each request."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50), logger_factory=structlog.ReturnLoggerFactory())
    try:
        with tempfile.TemporaryDirectory(prefix="genai-auth-") as place:
            return asyncio.run(measure(Path(place), requests))
    finally:
        structlog.reset_defaults()


def main() -> int:
    """Print what each credential adds; 1 where one adds more than is promised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    found = measured(parser.parse_args().requests)
    sys.stdout.write(f"{'µs of CPU a request':<24}{'route':<14}{'without':>10}{'with':>10}{'added':>10}\n")
    for each in found:
        sys.stdout.write(
            f"{each.credential:<24}{each.route:<14}{each.without_us:>10.1f}{each.with_us:>10.1f}{each.added_us:>10.1f}\n"
        )
    worst = max(each.added_us for each in found)
    sys.stdout.write(f"at most {worst:.1f} µs added, {PROMISED_US:.0f} are promised\n")
    return int(worst > PROMISED_US)


if __name__ == "__main__":
    sys.exit(main())
