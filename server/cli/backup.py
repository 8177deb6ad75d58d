"""`genai backup` and `genai restore`: on the machine, with the settings, of the platform that is copied."""

import asyncio
from dataclasses import replace as replaced
from typing import Annotated

import typer
from sqlmodel import col, select

from core.settings import Settings

Keys = Annotated[
    str | None,
    typer.Option("--keys", help="Where the keys are copied to, or from: another place than the data's, a directory or s3://…"),
]


def backup(
    to: Annotated[str, typer.Option("--to", help="An empty directory, or s3://…, gs://…, az://…")],
    keys: Keys = None,
    without_files: Annotated[
        bool,
        typer.Option("--without-files", help="Leave the file store out: its object store keeps copies of its own."),
    ] = False,
) -> None:
    """Copy database, files and, apart, keys, also while the platform serves. Reads the settings of the platform here."""
    from core.backup.manifest import BackupError
    from core.backup.taking import take

    try:
        manifest = take(Settings.load(), to, keys_to=keys, with_files=not without_files, told=_told)
    except BackupError as error:
        _told(str(error))
        raise typer.Exit(1) from error
    typer.echo(f"{to}: {manifest.parts} parts, {manifest.size} bytes, as of {manifest.made_at}")


def restore(
    source: Annotated[str, typer.Option("--from", help="Where the backup is.")],
    keys: Keys = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a platform's database that is there already.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only verify the backup and its keys; nothing is changed.")] = False,
) -> None:
    """Put a backup back, all of it verified first. Every server and worker has to be stopped. Exit 1 when that failed."""
    from core.audit import Action
    from core.backup.manifest import BackupError
    from core.backup.recording import on_record
    from core.backup.restoring import Restore
    from core.database import migrate
    from core.errors import Conflict
    from server.ownership import Ownership

    settings = Settings.load()
    try:
        work = Restore(settings, source, keys, _told)
        work.check()
        if check:
            typer.echo(f"{source}: whole, as of {work.manifest.made_at}")
            return
        owner = Ownership(settings)
        try:
            aside = work.run(replace=replace)
            migrate(settings)
            on_record(settings, Action.BACKUP_RESTORED, work.manifest.id, {"made_at": work.manifest.made_at})
            collections = asyncio.run(_reconcile(settings))
        finally:
            owner.release()
    except (BackupError, Conflict) as error:
        _told(str(error))
        raise typer.Exit(1) from error
    if aside is not None:
        _told(f"what was there before lies in {aside}: delete it once all is well")
    if settings.redis_url is not None:
        _told("empty the platform's Redis (FLUSHDB) before the start: its counters and kept answers are of another time")
    typer.echo(
        f"{source}: put back as of {work.manifest.made_at}. Start the platform: it makes word indexes and missing vectors of "
        f"{collections} collections again, in the background"
    )


async def _reconcile(settings: Settings) -> int:
    """Have each collection's stores hold what its documents say, once the platform runs; how many."""
    from core.database import Database
    from core.principals import SYSTEM
    from core.tables import Collection
    from retrievers.upkeep import Upkeep

    database = Database(settings)
    try:
        upkeep = Upkeep(database, lease_s=settings.jobs.lease_s)
        async with database.session(all_tenants=True) as session:
            rows = (await session.exec(select(Collection).where(col(Collection.deleted_at).is_(None)))).all()
        for row in sorted(rows, key=lambda row: (row.owner == SYSTEM.id, row.created_at)):  # the handbook last
            await upkeep.ask(replaced(SYSTEM, tenant=row.tenant), row, restored=True)
        return len(rows)
    finally:
        await database.close()


def _told(line: str) -> None:
    typer.echo(line, err=True)
