"""Nothing that runs in the tests' own processes binds, calls or asks beyond the loopback interface.

An audit hook sees every socket that Python opens, in whatever thread or library, and refuses what leads elsewhere. What was
refused is kept as well, since the code under test may well swallow the refusal. Names are looked up nowhere: a test that needs
one stubs the resolver.
"""

import contextlib
import socket
import sys
from ipaddress import ip_address
from typing import Any

_WATCHED = {"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"}
_NAMES = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}


class Guard:
    """What was refused since `taken` was asked last."""

    def __init__(self) -> None:
        self._refused: list[str] = []

    def install(self) -> None:
        """From now on, until the process ends: a hook cannot be taken away."""
        sys.addaudithook(self._see)

    def taken(self) -> list[str]:
        refused, self._refused = self._refused, []
        return refused

    def _see(self, event: str, args: tuple[Any, ...]) -> None:
        if event in _WATCHED:
            opened, address = args[0], args[1]
            family = getattr(opened, "family", None)
            if family not in (socket.AF_INET, socket.AF_INET6) or address is None or _is_inside(address[0]):
                return
            self._refuse(event, address[0])
        elif event in _NAMES and not _needs_no_resolver(args[0]):
            self._refuse(event, args[0])

    def _refuse(self, event: str, host: object) -> None:
        self._refused.append(f"{event} {host}")
        raise PermissionError(f"tests stay on the loopback interface: {event} {host}")


def _is_inside(host: object) -> bool:
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        return text == "localhost" or ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _needs_no_resolver(host: object) -> bool:
    if host is None:
        return True
    text = host.decode(errors="replace") if isinstance(host, bytes) else str(host)
    if text in ("", "localhost", socket.gethostname()):
        return True
    for read in (lambda: ip_address(text.partition("%")[0]), lambda: socket.inet_aton(text)):  # 0x7f.1 is an address too
        with contextlib.suppress(ValueError, OSError):
            return bool(read())
    return False


GUARD = Guard()
