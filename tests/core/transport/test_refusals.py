"""Why TLS failed is told by what the drivers' own errors come from."""

import asyncio
from functools import partial
from pathlib import Path

import pytest
import redis.asyncio as redis
from dramatiq.errors import ConnectionClosed

from core.transport.refusals import tls_refusal
from tests.authority import Authority, tls_in_front


@pytest.mark.parametrize(
    ("names", "trusted", "told"),
    [
        (("localhost",), "another", "unable to get local issuer certificate"),
        (("elsewhere.example",), "its own", "Hostname mismatch, certificate is not valid for 'localhost'."),
    ],
)
async def test_a_certificate_that_is_refused_is_named(tmp_path: Path, names: tuple[str, ...], trusted: str, told: str) -> None:
    authorities = {"its own": Authority(tmp_path / "one"), "another": Authority(tmp_path / "two")}
    issued = authorities["its own"].issue("server", names=names)
    with tls_in_front(issued, partial(asyncio.open_connection, "127.0.0.1", 9)) as port:
        client = redis.Redis.from_url(f"rediss://:secret@localhost:{port}/0", ssl_ca_certs=str(authorities[trusted].file))
        with pytest.raises(redis.ConnectionError) as failed:
            await client.ping()
        await client.aclose()
    refusal = tls_refusal(failed.value)
    assert refusal == told
    assert tls_refusal(ConnectionClosed(failed.value)) == told  # type: ignore[no-untyped-call]


def test_what_is_no_matter_of_tls_says_nothing() -> None:
    assert tls_refusal(redis.ConnectionError("Connection refused")) is None
