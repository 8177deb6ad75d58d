"""`genai ingest`: files and folders into a collection, resumable, with a progress bar."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer
from rich.console import Console

from server.cli.client import CallFailed, Platform, platform_of
from server.cli.progress import bar, follow

FILES_PER_UPLOAD = 50
BYTES_PER_UPLOAD = 16 * 2**20
SKIPPED_FOLDERS = {"node_modules", "__pycache__", "venv", "site-packages"}
#: What the platform answers for a file that holds nothing it can read; counted apart from what failed otherwise.
NOT_READABLE = {"unsupported_file_type", "empty_file", "no_text_found"}


@dataclass(frozen=True, slots=True)
class Source:
    """A file, and the name that its document gets: its path below the folder that was named."""

    path: Path
    name: str
    size: int


def ingest(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(exists=True, help="Files and folders.")],
    collection: Annotated[str, typer.Option("--collection", "-c", help="Where they go; made when it is not there.")],
) -> None:
    """Bring files into a collection.

    May be repeated: what has not changed is skipped, so an interrupted run is taken up by running it again.
    Hidden files and folders are left out. A file that the platform cannot read is told by name and reason and does not stop
    the others; the exit code is then 1.
    """
    sources = list(find(paths))
    notes = Console(stderr=True, highlight=False)
    if not sources:
        notes.print("No files there.")
        raise typer.Exit(1)
    # told here, because an upload of nothing but an empty file is refused as a whole
    empty = [
        {"code": "empty_file", "document": source.name, "message": "The file is empty."}
        for source in sources
        if not source.size
    ]
    full = [source for source in sources if source.size]
    platform = platform_of(context)
    _ensure(platform, collection)
    jobs = _upload(platform, collection, full) if full else []
    finals = follow(platform, jobs, title="indexing ")
    errors = [*empty, *(error for final in finals for error in final["errors"])]
    for error in errors:
        notes.print(f"  {error['code']} {error['document']}: {error['message']}", markup=False)
    failed = [error for error in errors if error["code"] not in NOT_READABLE]
    stopped = [final for final in finals if final["state"] == "cancelled"]
    ready = sum(final["progress"]["done"] - final["failed"] - final["removed"] for final in finals)
    skipped, removed = (sum(final[count] for final in finals) for count in ("skipped", "removed"))
    unchanged = f", {skipped} of them unchanged" if skipped else ""
    deleted = f", {removed} deleted meanwhile" if removed else ""
    notes.print(
        f"{ready} documents in {collection}{unchanged}{deleted}, "
        f"{len(errors) - len(failed)} not readable, {len(failed)} failed."
    )
    if errors or stopped:
        raise typer.Exit(1)


def find(paths: list[Path]) -> Iterator[Source]:
    """Every file that is not hidden, in a stable order, each once."""
    seen: set[Path] = set()
    for root in paths:
        for path in [root] if root.is_file() else _walk(root):
            if path.resolve() in seen:
                continue
            seen.add(path.resolve())
            yield Source(path, path.name if root.is_file() else path.relative_to(root).as_posix(), path.stat().st_size)


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in SKIPPED_FOLDERS)
        for name in sorted(files):
            path = Path(folder, name)
            if not name.startswith(".") and path.is_file():
                yield path


def batches(sources: list[Source]) -> Iterator[list[Source]]:
    """Uploads of at most 50 files and, unless one file is larger, 16 MiB."""
    batch: list[Source] = []
    size = 0
    for source in sources:
        if batch and (len(batch) == FILES_PER_UPLOAD or size + source.size > BYTES_PER_UPLOAD):
            yield batch
            batch, size = [], 0
        batch.append(source)
        size += source.size
    if batch:
        yield batch


def _ensure(platform: Platform, collection: str) -> None:
    try:
        platform.post("/api/v1/rag/collections", {"name": collection})
    except CallFailed as failure:
        if failure.status != 409:
            raise


def _upload(platform: Platform, collection: str, sources: list[Source]) -> list[str]:
    jobs: list[str] = []
    with bar() as progress:
        task = progress.add_task("uploading", total=len(sources))
        for batch in batches(sources):
            files = [("files", (source.name, source.path.read_bytes())) for source in batch]
            jobs.append(_send(platform, collection, files))
            progress.advance(task, len(batch))
    return jobs


def _send(platform: Platform, collection: str, files: list[tuple[str, tuple[str, bytes]]]) -> str:
    """One upload; a broken connection is tried again under the same idempotency key, so that it happens once."""
    key = uuid4().hex
    path = f"/api/v1/rag/collections/{collection}/documents"
    for last_try in (False, False, True):
        try:
            return str(platform.upload(path, files, idempotency_key=key)["job_id"])
        except CallFailed as failure:
            if last_try or failure.code != "unreachable":
                raise
    raise AssertionError("unreachable")
