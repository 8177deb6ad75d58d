"""A secret of its own in every field that takes one, every fault that can be made, and a search of whatever is told or kept.

A platform of its own is driven through providers that fail in every way and repeat what they were sent, a database that loses
its tables, bad input, wrong credentials, and a kill in the middle of work. No secret may then stand in an answer, a log, a
trace, a metric, the queue, or the data directory.
"""

import base64
import json
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from infra.bench.canary_places import Embedded, Grown, Places
from infra.bench.failing_provider import FAULTS, failing_provider
from infra.running import Running

#: Tables that are taken away for a while: what reads them fails with what the database says.
TABLES = (
    "conversations",
    "collections",
    "jobs",
    "stored_files",
    "users",
    "api_keys",
    "browser_sessions",
    "token_families",
    "tenants",
    "provider_credentials",
)
_FIELDS = (
    "admin",
    "secret",
    "encryption",
    "provider",
    "header",
    "access_key",
    "secret_key",
    "session_token",
    "oidc",
    "vault",
    "aws",
    "metrics",
    "collector",
)
_OF_CALLERS = (
    "key",
    "x_api_key",
    "cookie",
    "basic",
    "token",
    "client_secret",
    "password",
    "link",
    "other_header",
    "webhook",
    "mail",
)
#: Credentials of providers that are kept, tried and replaced at run time.
_AT_RUN_TIME = ("added", "tried", "rotated", "added_access_key", "added_secret_key", "added_session_token", "service_account")
_DEPLOYMENT = """
[[models]]
alias = "{fault}"
[[models.deployments]]
provider = "openai_compatible:{fault}"
model = "m"
[providers."openai_compatible:{fault}"]
base_url = "{url}/{fault}/v1"
api_key = "{provider}"
extra_headers = {{ x-gateway = "{header}" }}
"""
_CONFIG = """
handbook = false
[local]
warm = false
[timeouts]
connect = 1
first_token = 1
between_tokens = 1
total = 3
[[models]]
alias = "bedrock"
[[models.deployments]]
provider = "bedrock"
model = "anthropic.claude-sonnet-4-5-20250929-v1:0"
[providers.bedrock]
base_url = "{url}/401"
region = "eu-west-1"
access_key_id = "{access_key}"
secret_access_key = "{secret_key}"
session_token = "{session_token}"
[[sign_in.oidc]]
name = "corp"
issuer = "{url}/oidc"
client_id = "genai"
client_secret = "{oidc}"
default_role = "user"
"""


class _Told:
    """Everything that may hold a secret and must not."""

    def __init__(self) -> None:
        self.places: list[tuple[str, bytes]] = []
        self.statuses: set[int] = set()

    def answer(self, answer: httpx.Response, *, but: str = "") -> None:
        """An answer; `but` is what was made by it and is shown this once."""
        self.statuses.add(answer.status_code)
        shown = f"{answer.status_code} {dict(answer.headers)} {answer.text}"
        request = f"answer to {answer.request.method} {answer.request.url.path}"
        self.places.append((request, (shown.replace(but, "") if but else shown).encode()))


def _settings(file: Path, url: str, own: dict[str, str], more: dict[str, str]) -> dict[str, str]:
    """Of a platform that is told all secrets, and sends every signal to the provider that fails."""
    return {
        "GENAI_CONFIG": str(file),
        "GENAI_SECRET_KEY": own["secret"],
        "GENAI_ENCRYPTION__KEY": own["encryption"],
        "GENAI_PROBES__UNHEALTHY_S": "0.5",
        "GENAI_LOG__LEVEL": "debug",
        "VAULT_TOKEN": own["vault"],
        "AWS_SECRET_ACCESS_KEY": own["aws"],
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"{url}/collect",
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-collector={own['collector']}",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "GENAI_METRICS__TOKEN": own["metrics"],
        "GENAI_METRICS__CONVENTIONS": "both",
        "GENAI_ALERTS__PRIVATE_NETWORKS": '["127.0.0.0/8"]',
        "GENAI_ALERTS__MAIL_HOSTS": '["127.0.0.1:2525"]',
        "GENAI_ALERTS__TIMEOUT_S": "1",
        **more,
        "GENAI_TRACES__TELL_PROVIDERS": "true",
        "OTEL_LOGS_EXPORTER": "otlp",
    }


def planted(place: Path, *, rounds: int = 1, grown: bool = False) -> dict[str, float]:
    """Plant, break everything `rounds` times, and look. `grown`: on PostgreSQL and Valkey with passwords, and over TLS with a
    key that has one.

    Raises:
        AssertionError: a secret was found; the message says which and where, not what it is.
    """
    own = {name: f"canary{secrets.token_hex(20)}" for name in (*_FIELDS, *_OF_CALLERS, *_AT_RUN_TIME)}
    told, collected = _Told(), list[bytes]()
    place.mkdir(parents=True, exist_ok=True)
    with (
        failing_provider(collected) as url,
        ThreadPoolExecutor(16) as pool,
        Grown(place / "grown") if grown else Embedded(place / "platform") as places,
    ):
        own |= places.secrets
        file = place / "genai.toml"
        deployments = "".join(_DEPLOYMENT.format(fault=fault, url=url, **own) for fault in FAULTS)
        file.write_text(_CONFIG.format(url=url, **own) + deployments)
        platform = Running(place / "platform", **_settings(file, url, own, places.settings))
        platform.key = own["admin"]
        try:
            platform.start()
            for number in range(rounds):
                _break(platform, places, url, own, told, pool, number)
                platform.kill()  # with what was under way: a worker's job among it
                platform.start()
            told.places += places.queue()
        finally:
            if platform.process is not None:
                platform.stop()
        told.places.append(("rows", places.rows()))
    told.places.append(("log", platform.output().encode()))
    told.places += [(f"signal {number}", body) for number, body in enumerate(collected)]
    kept = [each for each in (platform.directory / "data").rglob("*") if each.is_file()]
    told.places += [(str(each.relative_to(platform.directory)), each.read_bytes()) for each in kept]
    _search(told, own)
    _refuse_silence(told, collected, grown=grown)
    return {"secrets": len(own), "places": len(told.places), "rounds": rounds}


def _search(told: _Told, own: dict[str, str]) -> None:
    """Look for each secret in every place."""
    forms = {name: forms_of(value) for name, value in own.items()}
    found = [
        f"{name} in {where}" for where, text in told.places for name, some in forms.items() if any(f in text for f in some)
    ]
    assert not found, sorted(set(found))[:20]


def _refuse_silence(told: _Told, collected: list[bytes], *, grown: bool) -> None:
    """Nothing is proved by places that hold nothing: everything has been asked, has failed and has been sent."""
    for span in (b"capability chat", b"SELECT api_keys", b"process document", b"provider_credentials"):
        assert any(span in body for body in collected), f"no trace tells of {span.decode()}: nothing was searched"
    assert any(b"request.finished" in body for body in collected), "no log was sent to the collector"
    assert {200, 401, 422, 502} <= told.statuses, told.statuses
    assert not grown or 503 in told.statuses, "no server has refused its password"
    assert collected, "no metric was sent"
    assert 500 in told.statuses, "nothing has failed in a way that nobody thought of"


def forms_of(value: str) -> list[bytes]:
    """A secret as it is, and as it stands within something in base64: at each of the three places where a group may begin."""
    plain = value.encode()
    packed = [base64.b64encode(b"\0" * offset + plain)[4 if offset else 0 : -4] for offset in range(3)]
    return [plain, *packed]


def _break(
    platform: Running, places: Places, url: str, own: dict[str, str], told: _Told, pool: ThreadPoolExecutor, number: int
) -> None:
    with platform.client(timeout_s=30) as client:
        made = client.post("/api/v1/keys", json={"name": "n", "role": "admin"})
        key = made.json()["key"]
        own[f"made key {number}"] = key
        told.answer(made, but=key)
        issued = client.post("/api/v1/auth/tokens", json={})
        own[f"access token {number}"], own[f"refresh token {number}"] = (
            issued.json()[n] for n in ("access_token", "refresh_token")
        )
        user = {"name": "u", "email": f"u{number}@example.test", "role": "user"}
        person = client.post("/api/v1/users", json=user).raise_for_status().json()["id"]
        told.answer(client.put(f"/api/v1/users/{person}/password", json={"password": own["password"]}))
        client.post("/api/v1/rag/collections", json={"name": f"c{number}"}).raise_for_status()
        for answer in _credentials_at_run_time(client, own):
            told.answer(answer)
        list(pool.map(told.answer, pool.map(lambda call: call(), _model_calls(client))))
        for answer in _mistakes(platform, client, own, user["email"]):
            told.answer(answer)
        for answer, secret in _alerts(client, url, own):
            if secret:
                own[f"signing secret {number} {len(own)}"] = secret
            told.answer(answer, but=secret)
        with places.unreadable():
            told.answer(client.get("/api/v1/sessions"))
        for fault in [*(places.without(table) for table in TABLES), *places.refusals()]:
            with fault:
                for answer in _everything(client, own, user["email"], number):
                    told.answer(answer)
        note = {"documents": [{"name": "a.md", "text": "The pump runs."}, {"name": "b", "url": "http://127.0.0.1:1/x"}]}
        told.answer(client.post(f"/api/v1/rag/collections/c{number}/documents", json=note))
        line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": _said("429")}
        upload = client.post("/v1/files", files={"file": ("x", json.dumps(line).encode())}, data={"purpose": "batch"})
        batch = {"input_file_id": upload.json()["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        told.answer(client.post("/v1/batches", json=batch))


def _credentials_at_run_time(client: httpx.Client, own: dict[str, str]) -> Iterator[httpx.Response]:
    """Credentials that are kept, tried and replaced, at a provider that repeats them, and some that are none."""
    path, provider = "/api/v1/provider-credentials", "openai_compatible:401"
    added = client.post(path, json={"provider": provider, "name": "n", "secrets": {"api_key": own["added"]}})
    yield added
    here = f"{path}/{added.raise_for_status().json()['id']}"
    yield client.post(f"{path}/test", json={"provider": provider, "secrets": {"api_key": own["tried"]}})
    yield client.post(f"{here}/test")
    yield client.put(f"{here}/secrets", json={"secrets": {"api_key": own["rotated"]}, "overlap": True})
    yield client.post(f"{here}/test")
    bedrock = {
        "access_key_id": own["added_access_key"],
        "secret_access_key": own["added_secret_key"],
        "session_token": own["added_session_token"],
    }
    yield client.post(path, json={"provider": "bedrock", "name": "n", "secrets": bedrock})
    account = json.dumps({"type": "service_account", "private_key": own["service_account"]})
    for secrets_of in ({"service_account": account}, {"api_key": [own["added"]]}, {"api_key": own["added"] * 400}):
        for name in (provider, "bedrock", "vertex"):
            yield client.post(path, json={"provider": name, "name": "n", "secrets": secrets_of})
            yield client.put(f"{here}/secrets", json={"secrets": secrets_of})
    yield client.get(path)
    yield client.get(here)


def _alerts(client: httpx.Client, url: str, own: dict[str, str]) -> Iterator[tuple[httpx.Response, str]]:
    """Routes of alerts with secrets in their addresses, to receivers that fail and repeat them; each answer with the secret
    that it shows this once."""
    path = "/api/v1/alert-routes"
    webhook = {"name": "w", "kind": "webhook", "url": f"{url}/500/{own['webhook']}"}
    server = f"mailto://user:{own['mail']}@127.0.0.1:2525"
    mail = {"name": "m", "kind": "apprise", "url": f"{server}?from=a@example.test&to=b@example.test"}
    for new in (webhook, mail, mail | {"url": f"slack://{own['mail']}"}, webhook | {"url": f"https://u:{own['webhook']}@h/"}):
        made = client.post(path, json=new)
        yield made, made.json().get("secret") or ""
        if made.is_success or new in (webhook, mail):  # these are taken: the answer must have an identifier
            here = f"{path}/{made.json()['id']}"
            yield client.post(f"{here}/test"), ""
            yield client.patch(here, json={"url": own["mail"]}), ""
            yield client.get(f"{here}/notices"), ""
            yield client.get(here), ""
    yield client.get(path), ""


def _said(model: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "hello"}]}


def _model_calls(client: httpx.Client) -> Iterator[Callable[[], httpx.Response]]:
    """Every fault by every door, whole and streamed."""
    for model in (*FAULTS, "bedrock"):
        said = _said(model)
        bodies = {
            "/api/v1/chat": (said, said | {"stream": True}, said | {"session_id": "s"}),
            "/v1/chat/completions": (said, said | {"stream": True}),
            "/api/v1/chat/invoke": ({"input": said},),
            "/api/v1/chat/stream": ({"input": said},),
            "/api/v1/chat/batch": ({"inputs": [said, said]},),
        }
        for path, each in bodies.items():
            yield from (lambda path=path, body=body: client.post(path, json=body) for body in each)


def _mistakes(platform: Running, client: httpx.Client, own: dict[str, str], email: str) -> Iterator[httpx.Response]:
    """Secrets where they do not belong, of the wrong type, too long, and credentials that are none."""
    wrong = ([own["password"]], {"x": own["password"]}, own["password"] * 40)
    for value in wrong:
        yield client.post("/api/v1/auth/password", json={"old_password": value, "new_password": value})
        yield client.post("/api/v1/users", json={"name": "x", "email": "x@example.test", "password": value, "role": "user"})
    yield client.post("/api/v1/chat", content=f'{{"key": "{own["key"]}'.encode(), headers={"content-type": "application/json"})
    for name in (
        "/api/v1/chat",
        "/v1/chat/completions",
        "/api/v1/chat/invoke",
        "/api/v1/users",
        "/api/v1/provider-credentials",
    ):
        yield client.post(name, json=_said("401") | {own["password"]: 1}, params={own["link"]: 1})
        yield client.post(name, json={"messages": [{"role": "user", own["key"]: 1}], "input": {own["key"]: 1}})
    yield client.get("/metrics", headers={"authorization": f"Bearer {own['metrics']}"})
    for field in ("api_key", "base_url", "authorization"):
        yield client.post("/api/v1/chat", json=_said("401") | {"extra": {field: own["provider"]}})
    yield client.get("/api/v1/models", headers={"x-secret": own["other_header"], "x-request-id": "r-1"})
    for path in ("/metrics", "/api/v1/health", "/api/v1/keys", "/api/v1/auth/sessions", "/api/v1/audit", "/openapi.json", "/"):
        yield client.get(path)
    with platform.client(key="") as stranger:
        for headers in (
            {"authorization": f"Bearer gk_{own['key']}"},
            {"x-api-key": own["x_api_key"]},
            {"cookie": f"genai_session={own['cookie']}"},
            {"authorization": f"Basic {own['basic']}"},
            {"authorization": f"Bearer ey{own['token']}.a.b"},
        ):
            yield stranger.get("/api/v1/models", headers=headers)
            yield stranger.get("/", headers=headers | {"accept": "text/html"})
        yield from _signing_in(stranger, own, email)


def _signing_in(client: httpx.Client, own: dict[str, str], email: str) -> Iterator[httpx.Response]:
    form = {"grant_type": "client_credentials", "client_id": "key_x", "client_secret": own["client_secret"]}
    yield client.post("/api/v1/auth/token", data=form)
    yield client.post("/api/v1/auth/token", data={"grant_type": "refresh_token", "refresh_token": own["token"]})
    yield client.post("/api/v1/auth/revoke", data={"token": own["token"]})
    yield client.post("/signin", data={"key": own["key"]})
    yield client.post("/signin", data={"email": email, "password": own["client_secret"]})
    yield client.get("/signin", params={"token": own["link"]})
    yield client.get("/signin/oidc/corp")


def _everything(client: httpx.Client, own: dict[str, str], email: str, number: int) -> Iterator[httpx.Response]:
    """What reads and writes the tables, with secrets in it."""
    with suppress(httpx.TimeoutException):
        yield client.post("/api/v1/chat", json=_said("401") | {"session_id": "s"})
        yield client.get("/api/v1/sessions/s")
        yield client.get("/api/v1/rag/collections")
        yield client.get("/api/v1/jobs")
        tried = {"provider": "openai_compatible:401", "secrets": {"api_key": own["tried"]}}
        yield client.post("/api/v1/provider-credentials", json=tried | {"name": "n"})
        yield client.get("/api/v1/provider-credentials")
        yield client.get("/v1/files")
        yield client.post("/api/v1/users", json={"name": "x", "email": f"x{number}@example.test", "password": own["password"]})
        yield client.get("/api/v1/users")
        yield client.post("/api/v1/auth/password", json={"old_password": own["password"], "new_password": own["password"]})
        wrong = {"authorization": "", "x-api-key": own["x_api_key"]}
        yield client.get("/api/v1/models", headers=wrong)
        yield client.get("/api/v1/models", headers={"authorization": f"Bearer {own[f'access token {number}']}"})
        yield client.get("/api/v1/models", headers={"authorization": "", "cookie": f"genai_session={own['cookie']}"})
        yield from _signing_in(client, own, email)
