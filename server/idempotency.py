"""`Idempotency-Key`: the same key gives the same answer, so that a caller may repeat a POST that costs or creates.

Same key and body: the first answer, word for word. Another body: 422. While the first is still being answered: 409. What
failed on our side (5xx) or was refused for now (429, 409) is forgotten, so that a repetition tries again. Of an answer that
shows a secret once nothing is kept but that it was given: 409 `answer_not_kept`. So of one that names a document which was
deleted since.
"""

import asyncio
import hashlib
import re
import tempfile
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import IO

import structlog
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlmodel import col, delete, update
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core import answer_sources
from core.background import ended
from core.context import RequestContext, current
from core.database import SECRET, Database, utc_now
from core.encryption.envelope import Place
from core.errors import Conflict, InvalidRequest, PlatformError
from core.keys import Hasher
from core.policies.retention import keeps_nothing
from core.policies.store import Policies
from core.principals import ANONYMOUS
from core.tables import IdempotencyRecord
from server.error_responses import error_response
from server.shown_once import shows_once

log = structlog.get_logger()

#: Seconds for which a request has its key, from the last time on that it said so.
HOLD_S = 60.0
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
#: Where tokens are had or a password comes: of these nothing is kept, not even that they were answered.
NEVER_KEPT = ("/api/v1/auth/token", "/api/v1/auth/revoke", "/api/v1/auth/password")
#: Days, where the policy gives no shorter time.
_KEPT_DAYS = 1.0
#: How an answer names a document: a citation, a passage, one that was brought in.
_DOCUMENT = re.compile(rb'"(?:document_id|id)":\s*"(doc_[A-Za-z0-9_-]{1,60})"')
_KEPT_BYTES = 8 * 2**20
_IN_MEMORY = 1 * 2**20
_REPLAY_CHUNK = 64 * 2**10
#: A caller sends it with /batch to get errors in their inputs' places rather than the first as the whole answer: another
#: answer to the same body.
RETURN_EXCEPTIONS = "x-genai-return-exceptions"
#: Refused for now: what is repeated later may be let in.
_FORGOTTEN = frozenset({401, 402, 403, 408, 409, 429})
#: Headers that belong to one sending, not to the answer.
_NOT_KEPT = frozenset({"content-length", "date", "server", "connection", "transfer-encoding", "x-request-id", "set-cookie"})


class Idempotency:
    """ASGI middleware, behind authentication and body limits. `hold_s` is how long a request that a crash has ended blocks its
    key; one that is being answered blocks it to its end."""

    def __init__(self, app: ASGIApp, database: Database, policies: Policies | None = None, *, hold_s: float = HOLD_S) -> None:
        self._app = app
        self._policies = policies or Policies()
        self._database = database
        self._hold = timedelta(seconds=hold_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != "http"
            or scope["method"] != "POST"
            or not scope["path"].startswith(("/api/", "/v1/"))
            or scope["path"].startswith(NEVER_KEPT)
        ):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        key = headers.get("idempotency-key")
        # who is nobody yet could be anybody, and signs in: no answer is kept of that
        if key is None or scope["state"]["context"].principal is ANONYMOUS:
            await self._app(scope, receive, send)
            return
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as body:
            try:
                if not _KEY.fullmatch(key):
                    raise InvalidRequest(
                        "An Idempotency-Key has 1 to 255 visible ASCII characters.", code="invalid_idempotency_key"
                    )
                fingerprint = await _read(receive, body, headers)
                if fingerprint is None:
                    return
                identifier = _identify(scope, key)
                record = await self._claim(identifier, fingerprint)
            except PlatformError as error:
                await error_response(error)(scope, receive, send)
                return
            if record is None:
                await self._answer_and_keep(identifier, scope, _replay(body, receive), send)
                return
            try:
                kept = await self._database.keyring.open(_place(scope, identifier), record.body or b"")
            except PlatformError as error:
                await error_response(error)(scope, receive, send)
                return
            await _send_again(record, kept, send)

    async def _claim(self, identifier: str, given: str) -> IdempotencyRecord | None:
        """Take the key for this request: None. Or the kept answer of the first one.

        Raises:
            InvalidRequest: `idempotency_mismatch`, the key came with another body before.
            Conflict: `idempotency_in_progress`; `answer_not_kept`: it was answered, and nothing is kept of requests.
        """
        now = utc_now()
        try:
            async with self._database.transaction() as session:
                await session.exec(delete(IdempotencyRecord).where(col(IdempotencyRecord.expires_at) < now))
                fingerprint = _keyed(session, given)
                whose = current().principal.tenant
                owner, told = current().principal.id, "" if keeps_nothing(self._policies, current()) else fingerprint
                session.add(
                    IdempotencyRecord(id=identifier, tenant=whose, owner=owner, fingerprint=told, expires_at=now + self._hold)
                )
        except IntegrityError:
            pass
        else:
            return None
        async with self._database.session() as session:
            record, fingerprint = await session.get(IdempotencyRecord, identifier), _keyed(session, given)
        if record is not None and record.status is not None and not record.fingerprint:
            text = "A request with this Idempotency-Key was answered before; nothing was kept of it."
            raise Conflict(text, code="answer_not_kept")
        if record is not None and record.fingerprint not in ("", fingerprint):
            raise InvalidRequest("This Idempotency-Key came with another request before.", code="idempotency_mismatch")
        if record is None or record.status is None:
            raise Conflict(
                "A request with this Idempotency-Key is still being answered.", code="idempotency_in_progress", retry_after_s=1
            )
        return record

    async def _answer_and_keep(self, identifier: str, scope: Scope, receive: Receive, send: Send) -> None:
        """What becomes of the key is settled before the last byte leaves: whoever has the whole answer may repeat at once."""
        recorder = _Recorder()
        settled = False

        async def record(message: Message) -> None:
            nonlocal settled
            recorder.take(message)
            if recorder.ended:
                settled = await self._settle(identifier, scope, recorder)
            await send(message)

        holding = asyncio.create_task(self._go_on_holding(identifier))
        try:
            await self._app(scope, receive, record)
        finally:
            try:
                await ended([holding])
            finally:
                if not settled:
                    await asyncio.shield(self._forget(identifier))

    async def _go_on_holding(self, identifier: str) -> None:
        """Until it is cancelled: nobody else takes the key of a request that takes long."""
        mine = (col(IdempotencyRecord.id) == identifier, col(IdempotencyRecord.status).is_(None))
        while True:
            await asyncio.sleep(self._hold.total_seconds() / 4)
            try:
                async with self._database.transaction() as session:
                    await session.exec(update(IdempotencyRecord).where(*mine).values(expires_at=utc_now() + self._hold))
            except SQLAlchemyError as error:
                log.warning("idempotency.not_held", code="database_unavailable", error=type(error).__name__)

    async def _settle(self, identifier: str, scope: Scope, recorder: "_Recorder") -> bool:
        failed = scope["state"].get("failed") or recorder.status >= 500 or recorder.status in _FORGOTTEN
        try:
            if failed or not recorder.fits or not await self._keep(scope, identifier, recorder):
                await self._forget(identifier)
        except SQLAlchemyError as error:  # the answer is there and paid for: it goes out, and the key frees itself in time
            log.warning("idempotency.not_kept", code="database_unavailable", error=type(error).__name__)
        return True

    async def _keep(self, scope: Scope, identifier: str, recorder: "_Recorder") -> bool:
        place = _place(scope, identifier)
        nothing = keeps_nothing(self._policies, current()) or (recorder.status < 400 and _shows_once(scope))
        days = self._policies.of(place.tenant).retention.idempotency_days or _KEPT_DAYS
        try:
            body = None if nothing else await self._database.keyring.seal(place, bytes(recorder.body))
        except PlatformError as error:
            log.warning("idempotency.not_kept", code=error.code, **error.context)
            return False
        named = [] if nothing else sorted({found.decode() for found in _DOCUMENT.findall(recorder.body)})
        async with self._database.transaction() as session:
            record = await session.get(IdempotencyRecord, place.row)
            if record is None:
                return False
            if named and not await answer_sources.are_there(session, named):  # deleted meanwhile: an answer of before
                body, nothing = None, True
            record.status, record.headers, record.body = recorder.status, {} if nothing else recorder.headers, body
            record.fingerprint = "" if nothing else record.fingerprint
            record.document_ids = None if nothing else named or None
            record.expires_at = utc_now() + timedelta(days=min(days, _KEPT_DAYS))
            session.add(record)
        return True

    async def _forget(self, identifier: str) -> None:
        async with self._database.transaction() as session:
            await session.exec(delete(IdempotencyRecord).where(col(IdempotencyRecord.id) == identifier))


class _Recorder:
    """What an answer's messages say. `fits` is False for one that is too large to keep."""

    def __init__(self) -> None:
        self.status = 500
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.ended = False
        self.fits = True

    def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            pairs = ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in message.get("headers", ()))
            self.headers = {name: value for name, value in pairs if name not in _NOT_KEPT}
        elif message["type"] == "http.response.body":
            self.fits = self.fits and len(self.body) + len(message.get("body", b"")) <= _KEPT_BYTES
            if self.fits:
                self.body += message.get("body", b"")
            self.ended = not message.get("more_body", False)


def _identify(scope: Scope, key: str) -> str:
    context: RequestContext = scope["state"]["context"]
    principal = context.principal  # with its rights: a key that may do less gets no answer that another of the same user got
    parts = (principal.tenant, principal.id, principal.rights, scope["method"], scope["path"], key)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _keyed(session: AsyncSession, fingerprint: str) -> str:
    """A password or a provider's key may be all that is not known of a body: with the database alone nobody tries which."""
    return Hasher(session.info[SECRET]()).digest("idempotency", fingerprint)


def _shows_once(scope: Scope) -> bool:
    """Whether the route that has answered shows a secret."""
    return shows_once(getattr(scope.get("route"), "response_model", None))


def _place(scope: Scope, identifier: str) -> Place:
    context: RequestContext = scope["state"]["context"]
    return Place(context.principal.tenant, IdempotencyRecord.__tablename__, "body", identifier)


async def _read(receive: Receive, body: IO[bytes], headers: Headers) -> str | None:
    """Read the whole body into `body` (a file once it is large) and fingerprint it; None when the caller hung up.

    A multipart boundary is drawn anew by each client library for each sending: it does not count.
    """
    content_type = headers.get("content-type", "")
    found = re.search(r'boundary="?([^";,\s]+)', content_type)
    boundary = found[1].encode("latin-1", "replace") if found else b""
    digest, rest = hashlib.sha256(content_type.partition(";")[0].encode() + b"\0"), b""
    if asked := headers.get(RETURN_EXCEPTIONS):
        digest.update(asked.encode("latin-1", "replace") + b"\0")
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        await asyncio.to_thread(body.write, chunk) if len(chunk) > _IN_MEMORY else body.write(chunk)
        if boundary:
            *pieces, rest = (rest + chunk).split(boundary)
            digest.update(b"\1".join([*pieces, b""]))
            held = min(len(rest), len(boundary) - 1)
            digest.update(rest[: len(rest) - held])
            rest = rest[len(rest) - held :]
        else:
            digest.update(chunk)
        if not message.get("more_body", False):
            digest.update(rest)
            body.seek(0)
            return digest.hexdigest()


def _replay(body: IO[bytes], receive: Receive) -> Receive:
    """Gives the body that was read, in chunks, then whatever the connection says."""
    chunks = _chunks(body)
    ended = False

    async def next_message() -> Message:
        nonlocal ended
        if ended:
            return await receive()
        message = await anext(chunks)
        ended = not message["more_body"]
        return message

    return next_message


async def _chunks(body: IO[bytes]) -> AsyncIterator[Message]:
    chunk = body.read(_REPLAY_CHUNK)
    while True:
        following = body.read(_REPLAY_CHUNK)
        yield {"type": "http.request", "body": chunk, "more_body": bool(following)}
        chunk = following


async def _send_again(record: IdempotencyRecord, body: bytes, send: Send) -> None:
    headers = {**record.headers, "idempotent-replayed": "true"}
    if not str(headers.get("content-type", "")).startswith("text/event-stream"):
        headers["content-length"] = str(len(body))
    raw = [(name.encode("latin-1"), str(value).encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": record.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
