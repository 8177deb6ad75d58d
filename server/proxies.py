"""Who a caller is behind proxies: their address, scheme and host as trusted proxies tell them, and as nobody else does."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from core.settings import ProxySettings

_Address = IPv4Address | IPv6Address
#: A pair of RFC 7239: a token, `=`, and a token or a quoted string. Values that need escapes mean nothing here.
_PAIR = re.compile(r'\s*([A-Za-z]+)=("[^"\\]*"|[^\s";,]+)\s*')
_ELEMENTS = re.compile(r'(?:[^,"]|"[^"]*")+')
_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_SCHEMES = frozenset({"http", "https"})


class TrustedProxies:
    """ASGI middleware, the outermost: what it puts into the scope is what throttling, keys' networks and the audit log go by.

    The chain of addresses is walked from the platform outwards for as long as trusted proxies vouch for the next one. The first
    that is no trusted proxy is the caller; what stands before it the caller may have written themselves. Where a proxy names
    something that is no address, the caller's is unknown: None, which no network of a key contains.
    """

    def __init__(self, app: ASGIApp, proxies: ProxySettings) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and scope.get("client"):
            host, port = scope["client"]
            if (peer := address_of(host)) is not None:
                if self._proxies.trusted and self._trusts(peer):
                    self._believe(scope, peer)
                elif str(peer) != host:  # IPv4 over a socket of IPv6
                    scope["client"] = (str(peer), port)
        await self._app(scope, receive, send)

    def _trusts(self, address: _Address) -> bool:
        return any(address in network for network in self._proxies.trusted)

    def _believe(self, scope: Scope, peer: _Address) -> None:
        headers = Headers(scope=scope)
        told = _forwarded(headers) if self._proxies.header == "forwarded" else _x_forwarded(headers)
        caller: _Address | None = peer
        element: Mapping[str, str] = {}
        for element in reversed(told):
            caller = address_of(element.get("for", ""))
            if caller is None or not self._trusts(caller):
                break
        scope["client"] = None if caller is None else (str(caller), 0)
        if (scheme := element.get("proto", "").lower()) in _SCHEMES:
            scope["scheme"] = scheme if scope["type"] == "http" else scheme.replace("http", "ws")
        if _HOST.fullmatch(host := element.get("host", "")):
            others = [(name, value) for name, value in scope["headers"] if name != b"host"]
            scope["headers"] = [*others, (b"host", host.encode("ascii"))]


@lru_cache(maxsize=4096)
def address_of(text: str) -> _Address | None:
    """The address that is written there, with a port or without; IPv4 within IPv6 as IPv4. None for what is no address."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _x_forwarded(headers: Headers) -> Sequence[Mapping[str, str]]:
    """One element for each address of `X-Forwarded-For`. The other two headers count for the same place where they are as long;
    else their last value is what the nearest proxy says."""
    lists = {
        name: [part.strip() for line in headers.getlist(f"x-forwarded-{name}") for part in line.split(",") if part.strip()]
        for name in ("for", "proto", "host")
    }
    found: list[dict[str, str]] = [{"for": address} for address in lists["for"]]
    for name in ("proto", "host"):
        given = lists[name]
        for number, element in enumerate(found):
            if given:
                element[name] = given[number] if len(given) == len(found) else given[-1]
    return found


def _forwarded(headers: Headers) -> Sequence[Mapping[str, str]]:
    """The elements of `Forwarded` (RFC 7239)."""
    return [
        {name.lower(): value.strip('"') for name, value in _PAIR.findall(element)}
        for line in headers.getlist("forwarded")
        for element in _ELEMENTS.findall(line)
        if element.strip()
    ]
