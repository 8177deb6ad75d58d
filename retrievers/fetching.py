"""Fetching from an address that a caller gives, without becoming a way into the operator's network: the one client for it.

Every hop is checked: http or https, no credentials in it, and all addresses of its host public (or in a network that the
operator allows). The host is resolved once, and the connection is made to one of the addresses that were checked, so that a
name which resolves differently the second time gains nothing; httpx-secure holds the client to such addresses. Cookies,
credentials and the environment's proxies play no part.
"""

import asyncio
import re
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import IPv6Address, ip_address
from pathlib import PurePosixPath
from urllib.parse import unquote

import httpx
from httpx_secure import SSRFProtectionError, httpx_ssrf_protection

from core import audit
from core.errors import InvalidRequest, NotFound, TooLarge
from core.settings import FetchSettings, Settings
from retrievers.public_addresses import IPAddress, is_public, literal

MAX_REDIRECTS = 5
REFUSED = "url_refused"
_CONNECT_S = 10
#: Addresses of a host that are tried, one after the other, while none answers.
_TRIED = 4
_PIECE = 64 * 1024
_MAX_URL = 2000
#: A longer one is left aside: then what is there is read again.
_MAX_VALIDATOR = 100
#: What sites know it by, in their logs and in their robots.txt.
USER_AGENT = "genai-platform"
_HEADERS = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
_FILENAME = re.compile(r"filename\*?=(?:UTF-8'')?\"?([^\";]{1,300})", re.IGNORECASE)

#: From a host's name and a port to its addresses. Raises OSError: it has none.
Resolve = Callable[[str, int], Awaitable[Sequence[IPAddress]]]


async def resolved(host: str, port: int) -> Sequence[IPAddress]:
    """The addresses of a host, as this machine's resolver tells them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


async def fetch(url: str, *, settings: Settings, resolve: Resolve = resolved) -> tuple[bytes, str]:
    """The content, and a name for it (from the answer's header or the address). What is refused is put on record.

    Raises:
        InvalidRequest: `url_refused` (not an address that may be fetched), `fetch_failed` (it does not answer as it should).
        TooLarge: more than `limits.upload_bytes` (`file_too_large`).
    """
    try:
        fetched = await fetch_changed(url, settings=settings, resolve=resolve)
    except NotFound as error:
        raise _failed("there is nothing there", error) from error
    if fetched is None:
        raise _failed(f"it answered with status {httpx.codes.NOT_MODIFIED}")
    return fetched.content, fetched.name


@dataclass(frozen=True, slots=True)
class Validators:
    """By which a server tells that what it has is still the same (RFC 9110, 8.8): its `ETag` and `Last-Modified`, as sent."""

    etag: str = ""
    modified: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """What a request asks with."""
        given = {"If-None-Match": self.etag, "If-Modified-Since": self.modified}
        return {name: value for name, value in given.items() if value}


@dataclass(frozen=True, slots=True)
class Fetched:
    """What an address has, a name for it, and what to ask with the next time."""

    content: bytes
    name: str
    validators: Validators


#: Asked before each address that a fetch comes to. Raises what it is to fail with.
Admit = Callable[[str], Awaitable[None]]


async def fetch_changed(
    url: str,
    *,
    settings: Settings,
    known: Validators = Validators(),
    admit: Admit | None = None,
    resolve: Resolve = resolved,
) -> Fetched | None:
    """As `fetch`, where it is not what it was when the server gave the validators `known`; then None. `admit` is asked about
    the address, and about each that it leads on to.

    Raises:
        NotFound: `fetch_gone`: there is nothing any more (status 404 or 410).
        InvalidRequest, TooLarge: as `fetch`. And what `admit` raises.
    """
    trail = _Trail(url)
    with _told(trail):
        async with asyncio.timeout(settings.fetch.timeout_s):
            return await _fetch(trail, settings, resolve, known, admit)


def check(url: str, *, allowed: FetchSettings) -> None:
    """Refuse an address that `post` would always refuse. No name is looked up for it: what one means is asked when it is used.
    What is refused is put on record.

    Raises:
        InvalidRequest: `url_refused`.
    """
    trail = _Trail(url)
    with _told(trail):
        address = _literal(_parsed(url))
        if address is not None and not is_allowed(address, allowed):
            raise _refused()


async def post(
    url: str, body: bytes, headers: Mapping[str, str], *, allowed: FetchSettings, resolve: Resolve = resolved
) -> int:
    """Send JSON to an address that a caller has given; the status of the answer, which is not read. A redirect is an answer
    like any other. What is refused is put on record.

    Raises:
        InvalidRequest: `url_refused`, `fetch_failed`.
    """
    trail = _Trail(url)
    with _told(trail):
        async with asyncio.timeout(allowed.timeout_s), _client(allowed) as client:
            parsed = _parsed(url)
            addresses = await _checked(parsed, allowed, resolve)
            sent = {"Content-Type": "application/json", **headers}
            async with _answered(client, parsed, addresses, "POST", body, sent) as response:
                return response.status_code


@contextmanager
def _told(trail: "_Trail") -> Iterator[None]:
    """Errors as this module promises them; what is refused is put on record."""
    try:
        yield
    except TimeoutError as error:
        raise _failed("it took too long") from error
    except SSRFProtectionError as error:
        trail.note()
        raise _refused() from error
    except InvalidRequest as error:
        if error.code == REFUSED:
            trail.note()
        raise
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, zlib.error) as error:
        raise _failed("it could not be reached or broke off", error) from error


async def _fetch(
    trail: "_Trail", settings: Settings, resolve: Resolve, known: Validators, admit: Admit | None
) -> Fetched | None:
    async with _client(settings.fetch) as client:
        for _ in range(MAX_REDIRECTS + 1):
            url = _parsed(trail.url)
            if admit is not None:
                await admit(trail.url)
            addresses = await _checked(url, settings.fetch, resolve)
            async with _answered(client, url, addresses, headers=known.headers) as response:
                if response.has_redirect_location:
                    trail.redirected(str(url.join(response.headers["location"])))
                    continue
                if response.status_code == httpx.codes.NOT_MODIFIED and known.headers:
                    return None
                if response.status_code in (httpx.codes.NOT_FOUND, httpx.codes.GONE):
                    raise NotFound(f"There is nothing there: status {response.status_code}.", code="fetch_gone")
                if response.status_code != httpx.codes.OK:
                    raise _failed(f"it answered with status {response.status_code}", status=response.status_code)
                content = await _read(response, settings.limits.upload_bytes)
                return Fetched(content, _name(response, url), _validators(response))
    raise _failed("it redirects too often")


@asynccontextmanager
async def _client(allowed: FetchSettings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of one fetch's own, which connects to allowed addresses alone and keeps no cookies."""
    context = await asyncio.to_thread(ssl.create_default_context)
    client = httpx.AsyncClient(
        verify=context,
        headers=_HEADERS,
        trust_env=False,
        limits=httpx.Limits(max_keepalive_connections=0),  # the next hop's certificate is looked at, also at the same address
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        timeout=httpx.Timeout(allowed.timeout_s, connect=_CONNECT_S),
    )
    httpx_ssrf_protection(
        client, check_globally_reachable=False, custom_validator=lambda _host, address, _port: is_allowed(address, allowed)
    )
    async with client:
        yield client


@asynccontextmanager
async def _answered(
    client: httpx.AsyncClient,
    url: httpx.URL,
    addresses: Sequence[IPAddress],
    method: str = "GET",
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[httpx.Response]:
    """The beginning of the answer from the first of the addresses that can be reached; its host's name stays in `Host`, and in
    what its certificate must be for."""
    for number, address in enumerate(addresses, start=1):
        request = client.build_request(method, url.copy_with(host=str(address)), content=content, headers=headers)
        request.headers["Host"] = url.netloc.decode("ascii")
        request.extensions["sni_hostname"] = url.raw_host.decode("ascii")
        try:
            response = await client.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if number == len(addresses):
                raise
            continue
        try:
            yield response
        finally:
            await response.aclose()
        return


def _parsed(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url.strip())
    except (httpx.InvalidURL, ValueError) as error:
        raise _refused("it is no address") from error
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo or len(url) > _MAX_URL:
        raise _refused("only http and https without credentials are fetched")
    if parsed.port is not None and not 0 < parsed.port < 65536:
        raise _refused("it has no port that there is")
    return parsed


def _literal(url: httpx.URL) -> IPAddress | None:
    """The address that its host is; None for a name."""
    try:
        return literal(url.raw_host.decode("ascii"))
    except ValueError as error:
        raise _refused("its host is not spelt as a name or an address in full") from error


async def _checked(url: httpx.URL, allowed: FetchSettings, resolve: Resolve) -> Sequence[IPAddress]:
    """The addresses to connect to, once all that the host has are found good."""
    address, host = _literal(url), url.raw_host.decode("ascii")
    try:
        found = [address] if address is not None else await resolve(host, url.port or (443 if url.scheme == "https" else 80))
    except (OSError, UnicodeError) as error:
        raise _failed("its host is not known", error) from error
    if not found or not all(is_allowed(each, allowed) for each in found):
        raise _refused()
    return list(dict.fromkeys(found))[:_TRIED]


def is_allowed(address: IPAddress, allowed: FetchSettings) -> bool:
    """Whether an address is public, or in a network that the operator lets documents be fetched from."""
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return False
    if any(address.version == network.version and address in network for network in allowed.private_networks):
        return True
    return is_public(address)


async def _read(response: httpx.Response, limit: int) -> bytes:
    """The body, unpacked where it is packed, given up as soon as it is longer than `limit`."""
    content = bytearray()
    async for piece in _unpacked(response, limit):
        content += piece
        if len(content) > limit:
            raise TooLarge(f"The document is larger than {limit:,} bytes.", code="file_too_large")
    return bytes(content)


async def _unpacked(response: httpx.Response, limit: int) -> AsyncIterator[bytes]:
    encoding = response.headers.get("content-encoding", "identity").lower()
    if encoding not in ("identity", "", "gzip", "x-gzip"):
        raise _failed("it sends a content encoding that was not asked for")
    unpack = zlib.decompressobj(16 + zlib.MAX_WBITS) if "gzip" in encoding else None
    async for raw in response.aiter_raw(_PIECE):
        if unpack is None:
            yield raw
            continue
        while raw:  # in pieces, so that a bomb is noticed before it is in memory
            yield unpack.decompress(raw, min(limit, 1 << 20))
            raw = unpack.unconsumed_tail


def _validators(response: httpx.Response) -> Validators:
    found = [response.headers.get(name, "") for name in ("etag", "last-modified")]
    return Validators(*(value if _may_be_sent(value) else "" for value in found))


def _may_be_sent(value: str) -> bool:
    """Whether a validator can be given back as it came: the bytes above ASCII, which RFC 9110 lets an ETag have, have no
    encoding of their own."""
    return len(value) <= _MAX_VALIDATOR and value.isascii() and value.isprintable()


def _name(response: httpx.Response, url: httpx.URL) -> str:
    named = _FILENAME.search(response.headers.get("content-disposition", ""))
    name = unquote(named[1]) if named else PurePosixPath(unquote(url.path)).name
    name = "".join(character for character in PurePosixPath(name).name if character.isprintable())
    return name.strip()[:200] or url.host


class _Trail:
    """Where a fetch has come to: the address that a caller gave, and the one that it is at."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._given = url

    def redirected(self, to: str) -> None:
        """Go on to where the last answer pointed."""
        self.url = to

    def note(self) -> None:
        """Put on record what was refused: hosts alone, for the rest may hold a secret."""
        redirected = {"redirected_from": _host(self._given)} if self.url is not self._given else {}
        audit.note(audit.Action.FETCH_REFUSED, on=("host", _host(self.url)), details=redirected)


def _host(url: str) -> str:
    try:
        return httpx.URL(url.strip()).host
    except (httpx.InvalidURL, ValueError):
        return ""


def _refused(reason: str = "it is not on the public network") -> InvalidRequest:
    return InvalidRequest(f"The address may not be fetched: {reason}.", code=REFUSED, param="url")


def _failed(reason: str, error: BaseException | None = None, *, status: int | None = None) -> InvalidRequest:
    known = {"error": type(error).__name__ if error else None, "status": status}
    return InvalidRequest(
        f"The address could not be fetched: {reason}.",
        code="fetch_failed",
        param="url",
        context={name: value for name, value in known.items() if value is not None},
    )
