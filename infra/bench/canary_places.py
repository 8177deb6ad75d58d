"""Where a platform with canaries keeps what it keeps: broken on purpose, and read out in the end."""

import datetime
import ipaddress
import secrets
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol, Self

import psycopg
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from psycopg import sql
from sqlalchemy import make_url

from core.valkey import valkey_binary
from infra.postgresql import ROLE, database_of_platform, postgresql
from infra.running import free_port, wait_until


class Places(Protocol):
    """A database and a queue. `settings` are those of a platform on them, `secrets` what must be seen nowhere of these."""

    settings: dict[str, str]
    secrets: dict[str, str]

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def without(self, table: str) -> AbstractContextManager[None]:
        """A database that has lost a table, for a while."""

    def unreadable(self) -> AbstractContextManager[None]:
        """A value in the database that no code of ours has written: what reads it fails in a way that nobody thought of."""

    def refusals(self) -> list[AbstractContextManager[None]]:
        """Servers that refuse the platform's password, for a while."""

    def queue(self) -> list[tuple[str, bytes]]:
        """Every key and value of the queue, by what it is."""

    def rows(self) -> bytes:
        """Every value of every row."""


class Embedded:
    """SQLite and the Valkey of a platform in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._data = directory / "data"
        self.settings: dict[str, str] = {}
        self.secrets: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        with sqlite3.connect(self._data / "genai.db", timeout=30, isolation_level=None) as database:
            yield database
        database.close()

    @contextmanager
    def without(self, table: str) -> Iterator[None]:
        with self._database() as database:
            database.execute("PRAGMA legacy_alter_table = ON")
            database.execute(f"ALTER TABLE {table} RENAME TO {table}_away")
            try:
                yield
            finally:
                database.execute(f"ALTER TABLE {table}_away RENAME TO {table}")

    @contextmanager
    def unreadable(self) -> Iterator[None]:
        with self._database() as database:
            before = database.execute("SELECT id, updated_at FROM conversations").fetchall()
            database.execute("UPDATE conversations SET updated_at = 'nonsense'")
            try:
                yield
            finally:
                for row, value in before:
                    database.execute("UPDATE conversations SET updated_at = ? WHERE id = ?", (value, row))

    def refusals(self) -> list[AbstractContextManager[None]]:
        return []  # neither has a password

    def queue(self) -> list[tuple[str, bytes]]:
        return [each for path in self._data.rglob("*.sock") for each in _queue(redis.Redis(unix_socket_path=str(path)))]

    def rows(self) -> bytes:
        with self._database() as database:
            tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return _joined(row for name in tables for row in database.execute(f'SELECT * FROM "{name}"'))  # noqa: S608 - ours


class Grown:
    """PostgreSQL and Valkey, each with a password in its address, and a certificate whose key has one; in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stack = ExitStack()
        self._server: Any = None
        names = ("database password", "queue password", "passphrase")
        self.secrets = {name: f"canary{secrets.token_hex(20)}" for name in names}
        self.settings: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            self._server = stack.enter_context(postgresql())
            database = database_of_platform(self._server, "canaries")
            self._ask_for_passwords()
            url = make_url(database).set(password=self.secrets["database password"])
            port = stack.enter_context(_valkey(self._directory, self.secrets["queue password"]))
            self._redis = redis.Redis(port=port, password=self.secrets["queue password"])
            stack.callback(self._redis.close)
            self.settings = {
                "GENAI_DATABASE_URL": url.render_as_string(hide_password=False),
                "GENAI_REDIS_URL": f"redis://:{self.secrets['queue password']}@127.0.0.1:{port}/0",
                **self._certificate(self.secrets["passphrase"]),
            }
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _ask_for_passwords(self) -> None:
        """Of the platform's role; the superuser comes in without one, as before."""
        rules = Path(self._said("SHOW hba_file"))
        rules.write_text(f"local all {ROLE} scram-sha-256\nhost all {ROLE} all scram-sha-256\n{rules.read_text()}")
        self._password(self.secrets["database password"])
        self._server.psql("SELECT pg_reload_conf();")

    def _said(self, statement: str) -> str:
        with self._superuser() as database:
            return str(database.execute(statement.encode()).fetchall()[0][0])

    def _superuser(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self._server.get_uri(database="canaries"), autocommit=True)

    def _password(self, password: str) -> None:
        self._server.psql(f"ALTER ROLE {ROLE} PASSWORD '{password}';")

    def _certificate(self, passphrase: str) -> dict[str, str]:
        """The settings of a certificate for loopback. A line from the middle of its key is a secret, too."""
        key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        now = datetime.datetime.now(datetime.UTC)
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(key, hashes.SHA256())
        )
        file = self._directory / "certificate.pem"
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        how = serialization.BestAvailableEncryption(passphrase.encode())
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how).decode()
        plain = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        self.secrets |= {"private key": pem.splitlines()[2], "private key in plain": plain.splitlines()[1][40:]}
        return {
            "GENAI_TLS__CERTIFICATE_FILE": str(file),
            "GENAI_TLS__KEY": pem,
            "GENAI_TLS__KEY_PASSWORD": passphrase,
            "GENAI_TLS__CA_FILE": str(file),
            "GENAI_TLS__RELOAD_S": "1",
        }

    @contextmanager
    def without(self, table: str) -> Iterator[None]:
        with self._altered(f"ALTER TABLE {table} RENAME TO {table}_away", f"ALTER TABLE {table}_away RENAME TO {table}"):
            yield

    @contextmanager
    def unreadable(self) -> Iterator[None]:
        column = "ALTER TABLE conversations ALTER COLUMN updated_at TYPE"
        with self._altered(f"{column} text USING 'nonsense'", f"{column} timestamptz USING now()"):
            yield

    @contextmanager
    def _altered(self, one_way: str, back: str) -> Iterator[None]:
        with self._superuser() as database:
            database.execute(one_way.encode())
            try:
                yield
            finally:
                database.execute(back.encode())

    def refusals(self) -> list[AbstractContextManager[None]]:
        return [self._database_refuses(), self._queue_refuses(), self._certificate_is_broken()]

    @contextmanager
    def _database_refuses(self) -> Iterator[None]:
        self._password("another")
        with self._superuser() as database:
            database.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (ROLE,))
        try:
            yield
        finally:
            self._password(self.secrets["database password"])

    @contextmanager
    def _queue_refuses(self) -> Iterator[None]:
        self._redis.config_set("requirepass", "another")
        self._redis.client_kill_filter(_type="normal", skipme=True)
        try:
            yield
        finally:
            self._redis.config_set("requirepass", self.secrets["queue password"])

    @contextmanager
    def _certificate_is_broken(self) -> Iterator[None]:
        file = Path(self.settings["GENAI_TLS__CERTIFICATE_FILE"])
        whole = file.read_bytes()
        file.write_bytes(whole[:200])
        try:
            yield
        finally:
            file.write_bytes(whole)

    def queue(self) -> list[tuple[str, bytes]]:
        return _queue(self._redis)

    def rows(self) -> bytes:
        with self._superuser() as database:
            names = database.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            tables = [sql.SQL("TABLE {}").format(sql.Identifier(name)) for (name,) in names]
            return _joined(row for table in tables for row in database.execute(table))


def _queue(valkey: redis.Redis) -> list[tuple[str, bytes]]:
    return [(f"queue {key!r}", key + (valkey.dump(key) or b"")) for key in valkey.scan_iter(count=1000)]


def _joined(rows: Iterator[tuple[Any, ...]]) -> bytes:
    return b"\n".join(value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row)


@contextmanager
def _valkey(directory: Path, password: str) -> Iterator[int]:
    """The port of a Valkey server that asks for a password."""
    port = free_port()
    settings = directory / "valkey.conf"
    settings.write_text(f"port {port}\nbind 127.0.0.1\nrequirepass {password}\ndir {directory}\nsave ''\n")
    process = subprocess.Popen([str(valkey_binary()), str(settings)], stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(port=port, password=password) as client:
            wait_until(lambda: _answers(client), within_s=30, what="Valkey")
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
