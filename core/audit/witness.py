"""What is known of the audit log outside the database: in the data directory, with which event it began.

Whoever writes to the database alone can empty the log, but not make it one that never was: begun anew, it has another first
event, as each has its time in its hash. A backup of the same database has the same one.
"""

from pathlib import Path

import orjson
import structlog
from filelock import FileLock
from sqlalchemy import Engine, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col

from core.audit.verification import Anchor
from core.database import sync_url
from core.keys import Hasher
from core.principals import DEFAULT_TENANT
from core.settings import Settings, SettingsError
from core.tables import AuditEvent

log = structlog.get_logger()

FILE = "audit.begun"


class Witness:
    """Of the database that the settings name: the data directory may have served another one."""

    def __init__(self, settings: Settings, hasher: Hasher) -> None:
        self._settings = settings
        self._path = settings.data_dir.expanduser() / FILE
        self._name = hasher.digest("audit-database", _place(settings))[:32]

    def anchors(self) -> list[Anchor]:
        """The first event of the operator's chain; none where it is not known. Makes nothing."""
        begun = _read(self._path).get(self._name)
        return [] if begun is None else [Anchor(DEFAULT_TENANT, 1, begun)]

    def keep(self, engine: Engine) -> bool:
        """Remember with which event the chain began, unless that is known.

        False where there is none yet, or the database or the directory is away, which is logged.
        """
        first = select(col(AuditEvent.hash)).where(col(AuditEvent.tenant) == DEFAULT_TENANT, col(AuditEvent.number) == 1)
        try:
            with engine.connect() as connection:
                begun = connection.scalar(first)
            if begun is not None:
                self._remember(begun)
        except (OSError, SettingsError, SQLAlchemyError) as error:
            log.warning("audit.not_witnessed", error=type(error).__name__)
            return False
        return begun is not None

    def _remember(self, begun: str) -> None:
        path = self._settings.path(FILE)
        with FileLock(path.with_suffix(".lock")):
            known = _read(path)
            if self._name not in known:
                partial = path.with_suffix(".new")
                partial.write_bytes(orjson.dumps(known | {self._name: begun}))
                partial.replace(path)
            elif known[self._name] != begun:
                log.error("audit.begun_anew", file=str(path))


def _place(settings: Settings) -> str:
    """Which database, whoever connects to it and by which way; the embedded one goes where its directory goes."""
    if settings.database_url is None:
        return "embedded"
    url = make_url(sync_url(settings))
    return f"{url.get_backend_name()}\0{url.host}\0{url.port}\0{url.database}"


def _read(path: Path) -> dict[str, str]:
    """What is known, by database. Nothing where there is no such file."""
    try:
        return {str(name): str(begun) for name, begun in orjson.loads(path.read_bytes()).items()}
    except FileNotFoundError:
        return {}
    except (OSError, orjson.JSONDecodeError, AttributeError):
        log.warning("audit.witness_unreadable", file=str(path))
        return {}
