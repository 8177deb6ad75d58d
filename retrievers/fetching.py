"""Fetching a document from an address that a caller gives, without becoming a way into the operator's network.

Every hop is checked: http or https, no credentials in it, and all its addresses public (or in a network that the operator
allows). httpx-secure then connects to a checked address only, so that a name that resolves differently the second time
gains nothing.
"""

import asyncio
import re
import socket
import ssl
import zlib
from collections.abc import AsyncIterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from pathlib import PurePosixPath
from urllib.parse import unquote

import httpx
from httpx_secure import SSRFProtectionError, httpx_ssrf_protection

from core import audit
from core.errors import InvalidRequest, TooLarge
from core.settings import FetchSettings, Settings

MAX_REDIRECTS = 5
REFUSED = "url_refused"
_CONNECT_S = 10
_PIECE = 64 * 1024
_MAX_URL = 2000
_HEADERS = {"User-Agent": "genai-platform", "Accept-Encoding": "identity"}
_FILENAME = re.compile(r"filename\*?=(?:UTF-8'')?\"?([^\";]{1,300})", re.IGNORECASE)
#: IPv6 that carries an IPv4 address within: NAT64 (RFC 6052), 6to4 (RFC 3056).
_CARRIERS = (IPv6Network("64:ff9b::/96"), IPv6Network("2002::/16"))


async def fetch(url: str, *, settings: Settings) -> tuple[bytes, str]:
    """The content, and a name for it (from the answer's header or the address).

    Raises:
        InvalidRequest: `url_refused` (not an address that may be fetched), `fetch_failed` (it does not answer as it should).
        TooLarge: more than `limits.upload_bytes` (`file_too_large`).
    """
    try:
        async with asyncio.timeout(settings.fetch.timeout_s):
            return await _fetch(url, settings)
    except TimeoutError as error:
        raise _failed("it took too long") from error
    except SSRFProtectionError as error:
        _note(url)
        raise _refused() from error
    except InvalidRequest as error:
        if error.code == REFUSED:
            _note(url)
        raise
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, zlib.error) as error:
        raise _failed("it could not be reached or broke off", error) from error


async def _fetch(url: str, settings: Settings) -> tuple[bytes, str]:
    def may_connect(_host: str, address: IPv4Address | IPv6Address, _port: int) -> bool:
        return is_allowed(address, settings.fetch)

    context = await asyncio.to_thread(ssl.create_default_context)
    client = httpx.AsyncClient(
        verify=context, headers=_HEADERS, trust_env=False, timeout=httpx.Timeout(settings.fetch.timeout_s, connect=_CONNECT_S)
    )
    httpx_ssrf_protection(client, check_globally_reachable=False, custom_validator=may_connect)
    async with client:
        target = await _checked(url, settings.fetch)
        for _ in range(MAX_REDIRECTS + 1):
            async with client.stream("GET", target) as response:
                if response.is_redirect:
                    target = await _checked(str(target.join(response.headers["location"])), settings.fetch)
                    continue
                if response.status_code != httpx.codes.OK:
                    raise _failed(f"it answered with status {response.status_code}")
                content = await _read(response, settings.limits.upload_bytes)
                return content, _name(response)
    raise _failed("it redirects too often")


async def _checked(url: str, allowed: FetchSettings) -> httpx.URL:
    """The URL, once its form and all addresses of its host are found good."""
    try:
        parsed = httpx.URL(url.strip())
    except (httpx.InvalidURL, ValueError) as error:
        raise _refused("it is no address") from error
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo or len(url) > _MAX_URL:
        raise _refused("only http and https without credentials are fetched")
    try:
        port = parsed.port or (443 if parsed.scheme == "https" else 80)
        found = await asyncio.get_running_loop().getaddrinfo(parsed.host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise _failed("its host is not known", error) from error
    if not found or not all(is_allowed(ip_address(str(entry[4][0]).partition("%")[0]), allowed) for entry in found):
        raise _refused()
    return parsed


def is_allowed(address: IPv4Address | IPv6Address, allowed: FetchSettings) -> bool:
    """Whether an address is public, or in a network that the operator lets documents be fetched from."""
    if any(address.version == network.version and address in network for network in allowed.private_networks):
        return True
    if isinstance(address, IPv6Address) and any(address in carrier for carrier in _CARRIERS):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


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


def _name(response: httpx.Response) -> str:
    named = _FILENAME.search(response.headers.get("content-disposition", ""))
    name = unquote(named[1]) if named else PurePosixPath(unquote(response.url.path)).name
    name = "".join(character for character in PurePosixPath(name).name if character.isprintable())
    return name.strip()[:200] or response.url.host


def _note(url: str) -> None:
    """Put on record whose address was refused: its host alone, for the rest may hold a secret."""
    try:
        host = httpx.URL(url.strip()).host
    except (httpx.InvalidURL, ValueError):
        host = ""
    audit.note(audit.Action.FETCH_REFUSED, on=("host", host))


def _refused(reason: str = "it is not on the public network") -> InvalidRequest:
    return InvalidRequest(f"The address may not be fetched: {reason}.", code=REFUSED, param="url")


def _failed(reason: str, error: BaseException | None = None) -> InvalidRequest:
    return InvalidRequest(
        f"The address could not be fetched: {reason}.",
        code="fetch_failed",
        param="url",
        context={"error": type(error).__name__} if error else None,
    )
