"""`genai ingest`: files and folders into a collection, resumable, with a progress bar."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.console import Console

from server.cli.client import CallFailed, Platform, platform_of
from server.cli.progress import bar, follow

FILES_PER_UPLOAD = 50
BYTES_PER_UPLOAD = 16 * 2**20
SKIPPED_FOLDERS = {"node_modules", "__pycache__", "venv", "site-packages"}
#: What the platform answers for a file that holds nothing it can read; counted apart from what failed otherwise.
NOT_READABLE = {"unsupported_file_type", "legacy_format", "empty_file", "no_text_found"}
#: The metadata that says which folder a document came from, so that what is gone from there can be told.
FOLDER = "folder"


@dataclass(frozen=True, slots=True)
class Source:
    """A file, and the name that its document gets: its path below the folder that was named. `folder` is that folder's mark,
    None for a file that was named itself."""

    path: Path
    name: str
    size: int
    folder: str | None = None


def ingest(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(exists=True, help="Files and folders.")],
    collection: Annotated[str, typer.Option("--collection", "-c", help="Where they go; made when it is not there.")],
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Bring in what symbolic links out of a folder lead to, too.")
    ] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Delete documents whose file is no longer in its folder.")] = False,
) -> None:
    """Bring files into a collection.

    May be repeated: what has not changed is skipped, so an interrupted run is taken up by running it again.
    Hidden files and folders are left out, and so are, by name, symbolic links that lead out of the folder, unless
    --follow-links says otherwise. A file that the platform cannot read is told by name and reason and does not stop
    the others; the exit code is then 1.
    Documents whose file is no longer in the folder that they came from stay, and are counted, unless --prune deletes them.
    What was brought in otherwise is left alone.
    """
    notes = Console(stderr=True, highlight=False)
    left: list[Path] = []
    sources = list(find(paths, left=None if follow_links else left))
    for link in left:
        notes.print(f"  {link}: left out, a link that leads out of the folder (--follow-links)", markup=False, soft_wrap=True)
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
    if gone := _gone(platform, collection, sources):
        notes.print(_tidied(platform, collection, gone) if prune else _left(gone), markup=False, soft_wrap=True)
    if errors or stopped:
        raise typer.Exit(1)


def find(paths: list[Path], *, left: list[Path] | None = None) -> Iterator[Source]:
    """Every file that is not hidden, in a stable order, each once. A link that leads out of its folder is put into `left`
    instead, where that is given; one that is named itself is followed."""
    seen: set[Path] = set()
    for root in paths:
        for path in [root] if root.is_file() else _walk(root):
            if path.resolve() in seen:
                continue
            leads_out = path != root and path.is_symlink() and not path.resolve().is_relative_to(root.resolve())
            if leads_out and left is not None:
                left.append(path)
                continue
            seen.add(path.resolve())
            if root.is_file():
                yield Source(path, path.name, path.stat().st_size)
            else:
                yield Source(path, path.relative_to(root).as_posix(), path.stat().st_size, mark(root))


def mark(folder: Path) -> str:
    """What a folder is known by: its name, and a digest of where it is, which tells nobody where."""
    place = folder.resolve()
    return f"{place.name or 'root'}-{hashlib.sha256(os.fsencode(place)).hexdigest()[:12]}"


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in SKIPPED_FOLDERS)
        for name in sorted(files):
            path = Path(folder, name)
            if not name.startswith(".") and path.is_file():
                yield path


def batches(sources: list[Source]) -> Iterator[list[Source]]:
    """Uploads of at most 50 files and, unless one file is larger, 16 MiB, each from one folder."""
    batch: list[Source] = []
    size = 0
    for source in sources:
        full = len(batch) == FILES_PER_UPLOAD or size + source.size > BYTES_PER_UPLOAD
        if batch and (full or batch[0].folder != source.folder):
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
            metadata = {FOLDER: batch[0].folder} if batch[0].folder else {}
            jobs.append(_send(platform, collection, files, metadata))
            progress.advance(task, len(batch))
    return jobs


def _send(platform: Platform, collection: str, files: list[tuple[str, tuple[str, bytes]]], metadata: dict[str, str]) -> str:
    """One upload; a broken connection is tried again under the same idempotency key, so that it happens once."""
    key = uuid4().hex
    path = f"/api/v1/rag/collections/{collection}/documents"
    for last_try in (False, False, True):
        try:
            return str(platform.upload(path, files, {"metadata": json.dumps(metadata)}, idempotency_key=key)["job_id"])
        except CallFailed as failure:
            if last_try or failure.code != "unreachable":
                raise
    raise AssertionError("unreachable")


def _gone(platform: Platform, collection: str, sources: list[Source]) -> list[dict[str, Any]]:
    """The documents that came from the same folders, and whose files are not there any more."""
    there = {(source.folder, source.name) for source in sources}
    folders = {source.folder for source in sources} - {None}
    if not folders:
        return []
    try:
        rows = list(platform.pages(f"/api/v1/rag/collections/{collection}/documents", limit=200))
    except CallFailed as failure:
        if failure.status != 404:  # the whole collection was deleted meanwhile
            raise
        return []
    marked = ((row, row["metadata"].get(FOLDER)) for row in rows)
    return [row for row, folder in marked if folder in folders and not _is_there(there, folder, row["name"])]


def _is_there(there: set[tuple[str | None, str]], folder: str, name: str) -> bool:
    """Whether the file is there, or the archive that it is a member of."""
    parts = name.split("/")
    return any((folder, "/".join(parts[:count])) in there for count in range(1, len(parts) + 1))


def _left(gone: list[dict[str, Any]]) -> str:
    return f"{_counted(gone)} no longer in the folder, and still answered from; --prune deletes such documents."


def _tidied(platform: Platform, collection: str, gone: list[dict[str, Any]]) -> str:
    for row in gone:
        try:
            platform.delete(f"/api/v1/rag/collections/{collection}/documents/{row['id']}")
        except CallFailed as failure:
            if failure.status != 404:  # another was quicker
                raise
    return f"{_counted(gone)} no longer in the folder, and deleted: {', '.join(row['name'] for row in gone)}"


def _counted(gone: list[dict[str, Any]]) -> str:
    return "1 document is" if len(gone) == 1 else f"{len(gone)} documents are"
