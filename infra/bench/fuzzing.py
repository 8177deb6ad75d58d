"""Requests drawn from the OpenAPI document, at a running platform: none is answered with a 5xx, none without a credential.

Each case is drawn by schemathesis (half of the time what the document allows, half of the time what it forbids), often with
the identifiers of things that are there, and sent twice: with an administrator's key, and with no credential or a bad one. One
seed draws the same cases again. LangServe's routes that the document does not show are held by `tests/server/test_isolation.py`
and `tests/e2e/test_bad_input.py`.
"""

import itertools
import random
import secrets
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Err

from core.policies.policy import SECTIONS
from infra import samples
from infra.bench.gateway import mock_provider
from infra.running import Running, running

#: Of a hundred identifiers that a case names, those that are of something.
_REAL = 50
_CONFIG = """\
handbook = false
[local]
warm = false
[[models]]
alias = "default"
[[models.deployments]]
provider = "openai"
model = "mock"
[providers.openai]
base_url = "{url}/v1"
api_key = "none"
"""
#: Parts of the document, by the tags of their operations: together they are all of it.
GROUPS = {"capabilities": {"Capabilities", "OpenAI"}, "langserve": {"LangServe"}, "data": set[str]()}
#: What nobody may come in with; the empty one is no credential at all.
_STRANGERS: tuple[dict[str, str], ...] = (
    {},
    {"Authorization": "Bearer gk_wrong"},
    {"X-API-Key": "wrong"},
    {"Authorization": "Basic YTpi"},
    {"Cookie": "genai_session=wrong"},
    {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJzeXN0ZW0ifQ."},
)


@dataclass
class Found:
    """What was sent and what was wrong with the answers."""

    cases: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


@contextmanager
def target(directory: Path, **settings: str) -> Iterator[Running]:
    """A platform whose model answers at once, with one of everything in it."""
    directory.mkdir(parents=True, exist_ok=True)
    with mock_provider() as provider:
        file = directory / "genai.toml"
        file.write_text(_CONFIG.format(url=provider))
        with running(directory / "platform", GENAI_CONFIG=str(file), **settings) as platform:
            yield platform


def fuzz(platform: Running, *, cases: int, seed: int | None = None, group: str = "") -> dict[str, float]:
    """Send that many cases of the operations of a group (see `GROUPS`), or of all of them. The seed, a fresh one unless it is
    given, is printed first.

    Raises:
        AssertionError: an answer is a 5xx, or one is given to somebody who has no credential.
    """
    seed = secrets.randbelow(10**9) if seed is None else seed
    sys.stdout.write(f"seed {seed}\n")
    with platform.client() as client:
        document = client.get("/openapi.json").raise_for_status().json()
        known = _things(platform, client)
    found, told = Found(), len(platform.output())
    sender = _Sender(platform, known, found, seed)
    drawn = _operations(platform, document, group)
    random.Random(seed).shuffle(drawn)  # noqa: S311 - where there are few cases, others each time
    drawn = sorted(drawn[: max(1, cases // 2)], key=lambda operation: operation.method.upper() == "DELETE")
    for turn in itertools.count():
        share = -(-(cases - found.cases) // max(len(drawn), 1))
        drawn = [operation for operation in drawn if _draw(operation, sender, min(share, cases - found.cases), seed + turn)]
        if found.cases >= cases or not drawn:
            break
    problems = Counter(found.problems)
    told_of = [line[:500] for line in platform.output()[told:].splitlines() if "Traceback" in line or "unhandled" in line]
    assert not problems, f"seed {seed}: {len(problems)} kinds of problems:\n" + "\n".join(list(problems)[:20])
    assert not told_of, f"seed {seed}: {told_of[:5]}"
    assert found.cases >= cases, f"seed {seed}: no more than {found.cases} cases can be drawn"
    kinds = Counter(f"{status // 100}xx" for status in found.statuses.elements())
    return {"seed": seed, "cases": found.cases, **{f"answers_{kind}": count for kind, count in sorted(kinds.items())}}


def _things(platform: Running, client: httpx.Client) -> dict[str, list[str]]:
    """Identifiers of one of everything, by the name of the parameter or field that takes one."""

    def made(path: str, **body: Any) -> dict[str, Any]:
        answer: dict[str, Any] = client.post(path, **body).raise_for_status().json()
        return answer

    own = f"fuzzed-{secrets.token_hex(4)}"
    platform.ingest(client, own, {"a.md": b"The pump runs at noon.", "b.pdf": samples.pdf(["The pump stops at six."])})
    documents = client.get(f"/api/v1/rag/collections/{own}/documents").raise_for_status().json()["results"]
    said = {"messages": [{"role": "user", "content": "Hello"}], "session_id": own}
    made("/api/v1/chat", json=said)
    line = b'{"custom_id": "1", "method": "POST", "url": "/v1/completions", "body": {"prompt": "Hi"}}\n'
    file = made("/v1/files", files={"file": ("in.jsonl", line)}, data={"purpose": "batch"})["id"]
    batch = {"input_file_id": file, "endpoint": "/v1/completions", "completion_window": "24h"}
    keys = [made("/api/v1/keys", json={"name": name, "role": "user"})["id"] for name in "abc"]
    return {
        "collection": [own],
        "document_id": [document["id"] for document in documents],
        "session_id": [own],
        "job_id": [job["id"] for job in client.get("/api/v1/jobs").raise_for_status().json()["results"]],
        "file_id": [file],
        "batch_id": [made("/v1/batches", json=batch)["id"]],
        "key_id": keys,
        "user_id": [made("/api/v1/users", json={"name": name, "email": f"{name}@{own}.test"})["id"] for name in "ab"],
        "team_id": [made("/api/v1/teams", json={"name": own})["id"]],
        "tenant_id": [made("/api/v1/tenants", json={"id": own, "name": "Fuzzed"})["id"]],
        "role": ["developer", "user"],
        "model": ["default"],
    }


#: Parameters and fields that take an identifier under another name.
_ALIASES = {
    "name": "collection",
    "input_file_id": "file_id",
    "role_name": "role",
    "alias": "model",
    "after": "document_id",
    "document": "document_id",
}


class _Sender:
    """Sends each case twice and judges the answers."""

    def __init__(self, platform: Running, known: dict[str, list[str]], found: Found, seed: int) -> None:
        self._platform = platform
        self._known = known
        self._found = found
        self._random = random.Random(seed)  # noqa: S311 - which requests are made is no secret
        self._strangers = itertools.cycle(_STRANGERS)
        self._session = requests.Session()
        self._session.trust_env = False

    def send(self, case: Case[Any]) -> None:
        self._found.cases += 1
        if isinstance(case.path_parameters, dict):
            case.path_parameters = {name: self._real(name, value) for name, value in case.path_parameters.items()}
        case.body = self._real("", case.body)
        label = case.operation.label
        try:
            answer = self._answer(case, {"Authorization": f"Bearer {self._platform.key}"})
            self._judge(label, answer, case, refused=False)
            public = case.operation.definition.raw.get("security") == []
            self._judge(label, self._answer(case, next(self._strangers)), case, refused=not public)
        except requests.RequestException as error:
            self._found.problems.append(f"{label}: {type(error).__name__}: {error} {_told(case)}")
        if case.method.upper() == "PUT" and case.path.endswith("/policies"):  # the next ones meet none of it
            headers = {"Authorization": f"Bearer {self._platform.key}"}
            none = dict.fromkeys(SECTIONS)
            self._session.put(f"{self._platform.url}{case.path}", json=none, headers=headers, timeout=30).raise_for_status()

    def _answer(self, case: Case[Any], credential: dict[str, str]) -> requests.Response:
        given = case.as_transport_kwargs(base_url=self._platform.url)
        headers = {name: value for name, value in dict(given.get("headers") or {}).items() if name.lower() not in _CREDENTIALS}
        given |= {"headers": headers | credential, "cookies": None, "timeout": 30, "allow_redirects": False}
        answer = self._session.request(**given)
        self._session.cookies.clear()
        return answer

    def _judge(self, label: str, answer: requests.Response, case: Case[Any], *, refused: bool) -> None:
        self._found.statuses[answer.status_code] += 1
        if answer.status_code >= 500:
            self._found.problems.append(f"{label}: {answer.status_code} {answer.text[:200]} {_told(case)}")
        if refused and answer.status_code not in (401, *_UNREAD):
            self._found.problems.append(f"{label}: {answer.status_code} without a good credential {_told(case)}")

    def _real(self, name: str, value: Any) -> Any:
        """The value, with identifiers that are of something in some of the places that take one."""
        if isinstance(value, dict):
            return {key: self._real(key, each) for key, each in value.items()}
        if isinstance(value, list):
            return [self._real(name.removesuffix("s"), each) for each in value]
        if name == "url":  # no request of a test leaves the machine
            return "http://127.0.0.1:9/x"
        known = self._known.get(_ALIASES.get(name, name))
        return self._random.choice(known) if known and self._random.randrange(100) < _REAL else value


#: The server's own answer to an address that is too long, before the platform sees it.
_UNREAD = (414,)
_CREDENTIALS = {"authorization", "x-api-key", "cookie"}


def _operations(platform: Running, document: dict[str, Any], group: str) -> list[Any]:
    """The operations of a group."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schema = schemathesis.openapi.from_dict(document)
        schema.config.update(base_url=platform.url)
        operations = []
        for result in schema.get_all_operations():
            if isinstance(result, Err):
                raise result.err()
            operations.append(result.ok())
    return [each for each in operations if not group or _group(each.definition.raw["tags"][0]) == group]


def _group(tag: str) -> str:
    return next((group for group, tags in GROUPS.items() if tag in tags), "data")


def _draw(operation: Any, sender: _Sender, count: int, seed: int) -> bool:
    """Send that many cases of an operation, if it has as many; whether it had."""
    sent = 0
    for mode, share in ((GenerationMode.POSITIVE, -(-count // 2)), (GenerationMode.NEGATIVE, count // 2)):
        if share:
            sent += _run(operation.as_strategy(generation_mode=mode), sender.send, share, seed)
    return sent >= count


def _run(strategy: Any, send: Callable[[Case[Any]], None], count: int, seed: int) -> int:
    sent = 0

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(case=strategy)
    def each(case: Case[Any]) -> None:
        nonlocal sent
        if sent < count:
            sent += 1
            send(case)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            each()
    except Unsatisfiable:  # an operation that takes nothing has nothing that is forbidden
        pass
    return sent


def _told(case: Case[Any]) -> str:
    return f"{case.method} {case.formatted_path[:300]} query={str(case.query)[:300]!r} body={str(case.body)[:300]!r}"
