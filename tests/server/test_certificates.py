"""The served certificate at the wire: which one a handshake is shown, and who may connect."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.x509 import load_pem_x509_certificate
from structlog.testing import capture_logs

from core.alerts import Alert, AlertKind
from core.settings import SettingsError, TLSSettings
from server.certificates import Certificates
from tests.authority import Authority, Issued, serial_at
from tests.telling import told

__all__ = ["told"]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


def _settings(issued: Issued, **more: object) -> TLSSettings:
    return TLSSettings.model_validate({"certificate_file": issued.certificate_file, "key_file": issued.key_file} | more)


@contextlib.contextmanager
def _listening(certificates: Certificates) -> Iterator[int]:
    """The port of an echo that is served by these certificates."""
    ready, ports, loop = threading.Event(), list[int](), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while block := await reader.read(100):
                writer.write(block)
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=certificates.context)
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        await stop.wait()
        server.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    yield ports[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    loop.close()


def _said(port: int, context: ssl.SSLContext) -> bytes:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(b"hello")
        return connection.recv(100)


def _is_refused(port: int, context: ssl.SSLContext) -> bool:
    """A client of TLS 1.3 learns of it at its first read, if it learns of a reason at all."""
    try:
        return _said(port, context) == b""
    except (ssl.SSLError, ConnectionError):
        return True


def test_only_callers_with_a_certificate_of_the_named_authority_may_connect_also_after_that_was_renewed(
    authority: Authority, tmp_path: Path
) -> None:
    callers, others = Authority(tmp_path / "callers", "Callers"), Authority(tmp_path / "others", "Others")
    named = tmp_path / "clients.pem"
    named.write_bytes(callers.file.read_bytes())
    certificates = Certificates(_settings(authority.issue("server"), client_ca_file=named))
    welcome, stranger, nobody = authority.client(), authority.client(), authority.client()
    for context, issuer in ((welcome, callers), (stranger, others)):
        issued = issuer.issue("client")
        context.load_cert_chain(issued.certificate_file, issued.key_file)
    with _listening(certificates) as port:
        assert _said(port, welcome) == b"hello"
        assert _is_refused(port, stranger)
        assert _is_refused(port, nobody)
        named.write_bytes(others.file.read_bytes())
        with capture_logs() as told:
            certificates.look()
        assert _said(port, stranger) == b"hello"
        assert _is_refused(port, welcome)
    serial = load_pem_x509_certificate(others.file.read_bytes()).serial_number
    assert [(each["event"], [int(one, 16) for one in each["client_authorities"]]) for each in told] == [
        ("certificate.renewed", [serial])
    ]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_caller_s_session_from_before_does_not_stand_for_a_certificate(
    authority: Authority, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    callers, others = Authority(tmp_path / "callers", "Callers"), Authority(tmp_path / "others", "Others")
    named = tmp_path / "clients.pem"
    named.write_bytes(callers.file.read_bytes())
    certificates = Certificates(_settings(authority.issue("server"), client_ca_file=named))
    caller, issued = authority.client(), callers.issue("client")
    caller.maximum_version = version
    caller.load_cert_chain(issued.certificate_file, issued.key_file)

    def said(port: int, session: ssl.SSLSession | None = None) -> tuple[bytes, ssl.SSLSession | None]:
        plain = socket.create_connection(("127.0.0.1", port), timeout=10)
        with plain, caller.wrap_socket(plain, server_hostname="localhost", session=session) as connection:
            connection.sendall(b"hello")
            return connection.recv(100), connection.session

    with _listening(certificates) as port:
        first, kept = said(port)
        assert first == b"hello"
        named.write_bytes(others.file.read_bytes())
        certificates.look()
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            assert said(port, kept)[0] == b"hello"


def test_an_old_version_of_tls_is_refused(authority: Authority) -> None:
    old = authority.client()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    issued = authority.issue("server")
    with _listening(Certificates(_settings(issued))) as port:
        assert _said(port, old) == b"hello"
    with _listening(Certificates(_settings(issued, minimum_version="1.3"))) as port:
        assert _is_refused(port, old)


def test_a_file_that_is_put_back_ends_the_alert(authority: Authority, told: list[Alert]) -> None:
    issued = authority.issue("server")
    certificates, good = Certificates(_settings(issued)), issued.key_file.read_bytes()
    with _listening(certificates) as port:
        issued.key_file.write_bytes(b"broken")
        certificates.look()
        certificates.look()
        assert serial_at(port, authority.client()) == issued.serial
        issued.key_file.write_bytes(good)
        certificates.look()
    assert [(alert.kind, alert.recovered) for alert in told] == [
        (AlertKind.CERTIFICATE_UNUSABLE, False),
        (AlertKind.CERTIFICATE_UNUSABLE, True),
    ]
    assert told[0].key == str(issued.certificate_file)


def test_a_certificate_that_nobody_renews_is_told_of_before_its_end(authority: Authority, told: list[Alert]) -> None:
    issued = authority.issue("server", days=(-1, 6))
    certificates = Certificates(_settings(issued))
    certificates.look()
    assert [(alert.kind, alert.recovered) for alert in told] == [(AlertKind.CERTIFICATE_EXPIRES, False)]
    authority.issue("server")
    certificates.look()
    assert told[-1].recovered


def test_an_expired_certificate_does_not_start(authority: Authority) -> None:
    with pytest.raises(SettingsError, match="has expired"):
        Certificates(_settings(authority.issue("server", days=(-9, -1))))


def test_the_files_are_looked_at_while_it_is_watched_and_no_longer(authority: Authority) -> None:
    issued = authority.issue("server")
    certificates = Certificates(_settings(issued, reload_s=0.05))
    with _listening(certificates) as port:
        with certificates.watched():
            renewed = authority.issue("server")
            deadline = threading.Event()
            for _ in range(400):
                if serial_at(port, authority.client()) == renewed.serial:
                    break
                deadline.wait(0.05)
            assert serial_at(port, authority.client()) == renewed.serial
        authority.issue("server")
        assert not [thread for thread in threading.enumerate() if thread.name == "certificates"]
        assert serial_at(port, authority.client()) == renewed.serial
