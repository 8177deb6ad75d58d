"""`python -m core.audit`: verify every chain of the database that the settings name. Changes nothing, and makes nothing.

Exit 0: all is as it was written. 1: a chain is broken; its first broken event is printed. 2: there is nothing to verify.
"""

import argparse
import sys
from collections.abc import Sequence

from sqlalchemy.exc import OperationalError, ProgrammingError

from core.audit.verification import Anchor, snapshot, verify_all
from core.audit.witness import Witness
from core.database import blocking_engine, is_made
from core.keys import Hasher, has_secret, load_secret
from core.logs import configure_logging
from core.settings import LogSettings, Settings, SettingsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify, and print a line a chain."""
    parser = argparse.ArgumentParser(prog="make audit-verify", description=__doc__)
    parser.add_argument(
        "--anchor",
        action="append",
        default=[],
        type=_anchor,
        metavar="TENANT:NUMBER:HASH",
        help="an event as an earlier verification printed it, or as a log elsewhere has it; several times",
    )
    anchors: list[Anchor] = parser.parse_args(arguments).anchor
    try:
        settings = Settings.load()
        if not is_made(settings) or not has_secret(settings):
            return _say("There is no platform where the settings lead to, or its secret is not there.", 2)
        return _verify(settings, anchors)
    except (SettingsError, OperationalError) as error:
        reason = error if isinstance(error, SettingsError) else "the database does not answer"
        return _say(f"Nothing was verified: {reason}", 2)
    except ProgrammingError:
        return _say("This platform has no audit log yet: start it once with this version.", 2)


def _verify(settings: Settings, anchors: Sequence[Anchor]) -> int:
    hasher, engine, broken, chains = Hasher(load_secret(settings)), blocking_engine(settings), False, 0
    known = [*Witness(settings, hasher).anchors(), *anchors]
    try:
        with engine.connect() as connection:
            snapshot(connection)
            for found in verify_all(connection, hasher, known):
                chains += 1
                if found.broken is None:
                    _say(f"whole   {found.tenant}:{found.events}:{found.hash}")
                else:
                    broken = True
                    _say(f"BROKEN  {found.tenant}: event {found.broken.number}: {found.broken.reason}")
            connection.rollback()
    finally:
        engine.dispose()
    if not chains:
        return _say("Nothing was verified: there is no event on record, and no key or user. Start the platform once.", 2)
    return 1 if broken else 0


def _anchor(text: str) -> Anchor:
    tenant, number, last = text.rsplit(":", 2)
    return Anchor(tenant, int(number), last)


def _say(line: str, code: int = 0) -> int:
    (sys.stderr if code else sys.stdout).write(f"{line}\n")
    return code


if __name__ == "__main__":
    configure_logging(LogSettings(level="warning"), answers_on_stdout=True)
    sys.exit(main())
