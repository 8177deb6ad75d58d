"""A certificate authority of the tests' own, and a TLS listener in front of servers that speak none."""

import asyncio
import contextlib
import ipaddress
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Open = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
#: What libpq sends before TLS, and what a server answers that speaks it (postgresql.org/docs/18/protocol-flow.html).
_SSL_REQUEST, _WILLING = bytes.fromhex("0000000804d2162f"), b"S"


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@dataclass
class Authority:
    """Issues certificates; `file` is what those who trust it name."""

    directory: Path
    common: str = "Test authority"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.file = self.directory / "authority.pem"
        now = datetime.now(UTC)
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        own = (
            self._builder(self.common, self.key.public_key(), now - timedelta(days=1), now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self.key, hashes.SHA256())
        )
        self.file.write_bytes(own.public_bytes(serialization.Encoding.PEM))

    def _builder(self, common: str, key: object, begins: datetime, ends: datetime) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(_name(common))
            .issuer_name(_name(self.common))
            .public_key(key)  # type: ignore[arg-type]
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)  # type: ignore[arg-type]
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )

    def issue(
        self,
        name: str,
        *,
        names: tuple[str, ...] = ("localhost", "127.0.0.1"),
        days: tuple[float, float] = (-1, 30),
        key: Key | None = None,
        password: bytes | None = None,
    ) -> "Issued":
        """A certificate for these names in files that begin with `name`, which are replaced where they are there."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        certificate = (
            self._builder(name, key.public_key(), now + timedelta(days=days[0]), now + timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([_general(each) for each in names]), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        how = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        issued = Issued(self.directory / f"{name}.crt", self.directory / f"{name}.key", certificate.serial_number)
        issued.key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how))
        issued.certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return issued

    def client(self) -> ssl.SSLContext:
        """What a client verifies by that trusts this authority alone."""
        return ssl.create_default_context(cafile=self.file)


@dataclass(frozen=True)
class Issued:
    certificate_file: Path
    key_file: Path
    serial: int

    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate_file, self.key_file)
        return context


def serial_at(port: int, context: ssl.SSLContext, name: str = "localhost") -> int:
    """The serial number of the certificate that a new connection is shown."""
    import socket

    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=name) as connection,
    ):
        shown = connection.getpeercert(binary_form=True)
        assert shown is not None
        return x509.load_der_x509_certificate(shown).serial_number


@contextlib.contextmanager
def tls_in_front(issued: Issued, behind: Open, *, postgresql: bool = False) -> Iterator[int]:
    """The port of a TLS listener on loopback that passes everything on to `behind`; with `postgresql` it asks first, as libpq
    does, and refuses who goes on in plaintext."""
    ready, ports, loops, stops = threading.Event(), list[int](), list[asyncio.AbstractEventLoop](), list[asyncio.Event]()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if postgresql:
                if await reader.readexactly(8) != _SSL_REQUEST:
                    writer.close()
                    return
                writer.write(_WILLING)
                await writer.start_tls(issued.server())
            there, back = await behind()
            await asyncio.gather(_pump(reader, back), _pump(there, writer))

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        stops.append(asyncio.Event())
        context = None if postgresql else issued.server()
        server = await asyncio.start_server(pass_on, "127.0.0.1", 0, ssl=context)
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        await stops[0].wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield ports[0]
    finally:
        loops[0].call_soon_threadsafe(stops[0].set)
        thread.join(10)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while block := await reader.read(65536):
            writer.write(block)
            await writer.drain()
    writer.close()
