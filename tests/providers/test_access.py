"""Tokens of the clouds, from a server that takes a connection and says nothing: nothing else of the platform waits with it."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from core.settings import ProviderSettings, Settings, Timeouts
from providers.azure import AzureProvider
from providers.vertex import VertexProvider

TIMEOUTS = Timeouts(connect=2, first_token=5, between_tokens=5, total=5)
GEMINI, CLAUDE, EMBEDDING = "gemini-2.5-flash", "claude-sonnet-4-5@20250929", "text-embedding-005"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


async def asked_once(silent: socket.socket, call: Callable[[], Awaitable[Any]]) -> None:
    """Several calls at once, in a process whose event loop has a single thread, which stays free."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    calls = [asyncio.ensure_future(call()) for _ in range(3)]
    try:
        async with asyncio.timeout(60):
            taken, _ = await loop.sock_accept(silent)
        async with asyncio.timeout(20):
            assert await asyncio.to_thread(lambda: 7) == 7
        with pytest.raises(BlockingIOError):
            silent.accept()
        taken.close()
        assert all(isinstance(error, Exception) for error in await asyncio.gather(*calls, return_exceptions=True))
    finally:
        for each in calls:
            each.cancel()


@pytest.mark.parametrize("model", [GEMINI, CLAUDE])
async def test_googles_token_server_holds_up_nothing_but_vertex(model: str, silent: socket.socket) -> None:
    provider = vertex(silent)
    await provider.warm(model, TIMEOUTS)
    await asked_once(silent, lambda: provider.chat(model, TIMEOUTS).ainvoke("Hi"))
    await provider.close()


async def test_a_probe_waits_for_googles_token_server_like_a_call(silent: socket.socket) -> None:
    provider = vertex(silent)
    await asked_once(silent, lambda: provider.probe(GEMINI))
    await provider.close()


async def test_embeddings_wait_for_googles_token_server_together(silent: socket.socket) -> None:
    provider = vertex(silent)
    await provider.warm(EMBEDDING, TIMEOUTS)
    await asked_once(silent, lambda: provider.embeddings(EMBEDDING, TIMEOUTS).aembed_query("Hi"))
    await provider.close()


async def test_a_managed_identity_holds_up_nothing_but_azure(silent: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "secret")
    provider = AzureProvider("azure", Settings(), ProviderSettings(base_url="http://127.0.0.1:1"))
    await asked_once(silent, lambda: provider.chat("gpt-4o", TIMEOUTS).ainvoke("Hi"))
    await provider.close()


def vertex(token_server: socket.socket) -> VertexProvider:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    account = {
        "type": "service_account",
        "project_id": "p1",
        "client_email": "a@p1.iam",
        "private_key": pem,
        "private_key_id": "1",
        "client_id": "1",
        "token_uri": f"http://127.0.0.1:{token_server.getsockname()[1]}/token",
    }
    configured = ProviderSettings(base_url="http://127.0.0.1:1", service_account=json.dumps(account))
    return VertexProvider("vertex", Settings(), configured)
