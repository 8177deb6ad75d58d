"""The guard that holds all other tests on the loopback interface."""

import asyncio
import socket
from collections.abc import Callable

import pytest

from tests.loopback import GUARD


def _connect() -> None:
    with socket.socket() as opened:
        opened.connect(("192.0.2.1", 80))


def _bind() -> None:
    with socket.socket() as opened:
        opened.bind(("0.0.0.0", 0))


def _bind_everywhere() -> None:
    with socket.socket(socket.AF_INET6) as opened:
        opened.bind(("::", 0))


def _send() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as opened:
        opened.sendto(b"x", ("192.0.2.1", 53))


@pytest.mark.parametrize(
    "call", [_connect, _bind, _bind_everywhere, _send, lambda: socket.getaddrinfo("example.com", 80)], ids=range(5)
)
def test_what_leads_elsewhere_is_refused_and_kept(call: Callable[[], None]) -> None:
    with pytest.raises(PermissionError, match="loopback"):
        call()
    assert len(GUARD.taken()) == 1


async def test_it_sees_what_an_event_loop_opens() -> None:
    with pytest.raises(OSError, match="loopback"):
        await asyncio.open_connection("192.0.2.1", 80)
    with pytest.raises(PermissionError, match="loopback"):
        await asyncio.get_running_loop().getaddrinfo("example.com", 80)
    assert len(GUARD.taken()) == 2


def test_what_stays_inside_is_let_through() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass
    assert socket.getaddrinfo("localhost", 80)
    assert GUARD.taken() == []
