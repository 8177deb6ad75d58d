"""HTTP to a platform: its errors as sentences, its event streams as Python values, its start-up waited for."""

import json
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import typer

from core.settings import SettingsError

START_PATIENCE_S = 90.0


class CallFailed(Exception):
    """What the platform, or the way to it, refused; the message is for the person at the terminal."""

    def __init__(self, message: str, *, code: str, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event; `id` is what `Last-Event-ID` resumes after, None where the stream numbers none."""

    name: str
    data: Any
    id: str | None = None


class Platform:
    """A platform at `url`, called with `key` (None: no credential is sent).

    Every call raises `CallFailed` and nothing else. While the platform is starting, calls wait for it, 90 s at most.

    `verify` knows the authority of its certificate, where that is not one that the world knows.
    """

    def __init__(self, url: str, key: str | None, *, verify: ssl.SSLContext | None = None) -> None:
        self.url = url.rstrip("/")
        self.verify = verify
        key = (key or "").strip()
        if not re.fullmatch(r"[!-~]*", key):  # the library that sends it would repeat it in its error
            raise CallFailed("What is given as the key is none: it has blanks or letters that no key has.", code="invalid_key")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            self._http = httpx.Client(
                base_url=self.url,
                headers=headers,
                timeout=httpx.Timeout(180, connect=10),
                trust_env=False,
                follow_redirects=False,
                verify=verify or True,
            )
        except httpx.InvalidURL:
            raise CallFailed(f"{self.url!r} is no address of a platform: see --url and GENAI_URL", code="invalid_url") from None

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, **query: Any) -> Any:
        return self._call("GET", path, params={name: value for name, value in query.items() if value is not None})

    def post(self, path: str, body: Any = None, *, idempotency_key: str | None = None) -> Any:
        return self._call("POST", path, json=body, headers=_idempotent(idempotency_key))

    def patch(self, path: str, body: Any) -> Any:
        return self._call("PATCH", path, json=body)

    def put(self, path: str, body: Any) -> Any:
        return self._call("PUT", path, json=body)

    def upload(
        self,
        path: str,
        files: list[tuple[str, tuple[str, bytes]]],
        fields: Mapping[str, str],
        *,
        idempotency_key: str | None = None,
    ) -> Any:
        return self._call("POST", path, files=files, data=fields, headers=_idempotent(idempotency_key))

    def download(self, path: str, target: Path) -> int:
        """Write what is there into a file; how many bytes."""
        with self._reaching(), self._opened("GET", path, {}) as response, target.open("wb") as file:
            return sum(file.write(chunk) for chunk in response.iter_bytes())

    def text(self, path: str) -> str:
        """What is there, as it is."""
        with self._reaching(), self._opened("GET", path, {}) as response:
            return response.read().decode()

    def delete(self, path: str) -> Any:
        return self._call("DELETE", path)

    def pages(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Every row of a list, page by page."""
        cursor: str | None = None
        while True:
            page = self.get(path, cursor=cursor, **query)
            yield from page["results"]
            cursor = page.get("next_cursor")
            if not cursor:
                return

    def stream(self, path: str, body: Mapping[str, Any]) -> Iterator[Event]:
        """The events of an answer. An `error` event is raised, so what is yielded was said in earnest."""
        for event in self._events("POST", path, json={**body, "stream": True}):
            if event.name == "error":
                raise _failure(event.data if isinstance(event.data, dict) else {}, None)
            yield event

    def watch(self, path: str) -> Iterator[Event]:
        """The events of a job. A connection that breaks is taken up after the last event that came; a platform that is away is
        waited for, 90 s at most. Without an error they may end before the job does, where the server does."""
        last: str | None = None
        until: float | None = None
        while True:
            try:
                for event in self._events("GET", path, headers={"Last-Event-ID": last} if last else {}):
                    last, until = event.id or last, None
                    yield event
            except CallFailed as failure:
                until = until or time.monotonic() + START_PATIENCE_S
                if failure.code != "unreachable" or time.monotonic() > until:
                    raise
                time.sleep(0.5)
            else:
                return

    def _events(self, method: str, path: str, **options: Any) -> Iterator[Event]:
        with self._reaching(), self._opened(method, path, options) as response:
            name, data, number = "message", list[str](), None
            for line in response.iter_lines():
                field, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if not line:
                    if data:
                        yield Event(name, _parsed("\n".join(data)), number)
                    name, data, number = "message", [], None
                elif field == "event":
                    name = value
                elif field == "data":
                    data.append(value)
                elif field == "id":
                    number = value

    @contextmanager
    def _opened(self, method: str, path: str, options: dict[str, Any]) -> Iterator[httpx.Response]:
        headers = {"Accept": "text/event-stream", **options.pop("headers", {})}
        until = time.monotonic() + START_PATIENCE_S
        while True:
            with self._http.stream(method, path, headers=headers, **options) as response:
                if response.is_success:
                    yield response
                    return
                response.read()
                self._wait_or_raise(response, until)

    def _call(self, method: str, path: str, **options: Any) -> Any:
        until = time.monotonic() + START_PATIENCE_S
        with self._reaching():
            while True:
                response = self._http.request(method, path, **options)
                if response.is_success:
                    return response.json() if response.content else None
                self._wait_or_raise(response, until)

    def _wait_or_raise(self, response: httpx.Response, until: float) -> None:
        """Sleep and return while the platform is starting, or its queue is full; raise what else it said."""
        body = _parsed(response.text)
        failure = _failure(body if isinstance(body, dict) else {}, response.status_code)
        if failure.code not in ("starting", "queue_full", "rate_limited") or time.monotonic() > until:
            raise failure
        try:
            pause = float(response.headers.get("retry-after", 1))
        except ValueError:
            pause = 1.0
        time.sleep(min(max(pause, 0.2), 5))

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise CallFailed(
                    f"{self.url} shows a certificate that is not trusted here; GENAI_TLS__CA_FILE may name its authority.",
                    code="certificate_not_trusted",
                ) from None
            raise CallFailed(
                f"No platform answers at {self.url}. Start one with `make run` or `genai serve`, or name another with --url.",
                code="unreachable",
            ) from None
        except httpx.TimeoutException:
            raise CallFailed(f"The platform at {self.url} did not answer in time.", code="timeout") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise CallFailed(f"The connection to {self.url} broke: {error}", code="unreachable") from None
        except UnicodeEncodeError:
            raise CallFailed("What is to be sent is no text: a name of a file, perhaps.", code="no_text") from None
        except ValueError:
            raise CallFailed(
                f"What answers at {self.url} does not speak JSON: is it a GenAI platform?", code="no_json"
            ) from None


def platform_of(context: typer.Context) -> Platform:
    """The platform that `--url` and `--key` name; the callback of the root command has made it."""
    platform = context.find_object(Platform)
    if platform is None:
        raise RuntimeError("a command runs outside of the application")
    return platform


def authorities(file: Path | None) -> ssl.SSLContext | None:
    """What verifies a platform whose authority the file holds beside the system's; None without one.

    Raises:
        SettingsError: the file cannot be read, or holds none.
    """
    if file is None:
        return None
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(file)
    except OSError as error:  # what is no certificate as well
        raise SettingsError(f"GENAI_TLS__CA_FILE: {file} cannot be used: {error.strerror}") from None
    return context


def _idempotent(key: str | None) -> dict[str, str]:
    return {"Idempotency-Key": key} if key else {}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _failure(body: Mapping[str, Any], status: int | None) -> CallFailed:
    error = body.get("error", body)
    if not isinstance(error, Mapping):
        error = {}
    code = str(error.get("code", "unknown"))
    message = str(error.get("message", f"The platform answered with status {status}."))
    if code == "unauthenticated":
        message += " Give a key with --key, GENAI_API_KEY, or once and for all with `genai login`."
    if error.get("request_id"):
        message += f" (request {error['request_id']})"
    return CallFailed(message, code=code, status=status)
