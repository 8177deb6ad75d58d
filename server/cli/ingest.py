"""`genai ingest`: files and folders into a collection, resumable, with a progress bar."""

import hashlib
import json
import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.console import Console

from server.cli.client import CallFailed, Platform, platform_of
from server.cli.progress import bar, follow
from server.file_names import carried

FILES_PER_UPLOAD = 50
BYTES_PER_UPLOAD = 16 * 2**20
SKIPPED_FOLDERS = {"node_modules", "__pycache__", "venv", "site-packages"}
#: What the platform answers for a file that holds nothing it can read; counted apart from what failed otherwise.
NOT_READABLE = {"unsupported_file_type", "legacy_format", "empty_file", "no_text_found"}
#: The metadata that says which folder a document came from, so that what is gone from there can be told.
FOLDER = "folder"
#: What the platform refuses of an upload because of a file in it.
_REFUSED = {400, 413, 415, 422}
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Source:
    """A file, and the name that its document gets: its path below the folder that was named, behind that folder's name where
    another one has such a file. `folder` is that folder's mark, None for a file that was named itself."""

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
    Of several folders with a file of the same path, one keeps the path as the document's name, and the others get the folder's
    name before it.
    Hidden files and folders are left out, and so are, by name, symbolic links that lead out of the folder, unless
    --follow-links says otherwise. A file that the platform cannot read is told by name and reason and does not stop
    the others; the exit code is then 1.
    Documents whose file is no longer in the folder that they came from stay, and are counted, unless --prune deletes them.
    What was brought in otherwise is left alone.
    """
    notes = Console(stderr=True, highlight=False)
    left: list[Path] = []
    closed: list[OSError] = []
    sources = list(find(paths, left=None if follow_links else left, closed=closed))
    for link in left:
        notes.print(f"  {link}: left out, a link that leads out of the folder (--follow-links)", markup=False, soft_wrap=True)
    if not sources:
        notes.print("No files there.")
        raise typer.Exit(1)
    platform = platform_of(context)
    _ensure(platform, collection)
    sources, others = _apart(sources, _rows(platform, collection, sources))
    for line in others:
        notes.print(f"  {line}", markup=False, soft_wrap=True)
    # told here, because an upload of nothing but an empty file is refused as a whole
    empty = [
        {"code": "empty_file", "document": source.name, "message": "The file is empty."}
        for source in sources
        if not source.size
    ]
    full = [source for source in sources if source.size]
    jobs, refused = _upload(platform, collection, full) if full else ([], [])
    finals = follow(platform, jobs, title="indexing ") if jobs else []
    errors = [*map(_unread, closed), *empty, *refused, *(error for final in finals for error in final["errors"])]
    for error in errors:
        notes.print(f"  {error['code']} {error['document']}: {error['message']}", markup=False, soft_wrap=True)
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
        # what cannot be looked into may still hold them
        notes.print(_tidied(platform, collection, gone) if prune and not closed else _left(gone), markup=False, soft_wrap=True)
    if errors or stopped:
        raise typer.Exit(1)


def find(paths: list[Path], *, left: list[Path] | None = None, closed: list[OSError] | None = None) -> Iterator[Source]:
    """Every file that is not hidden, in a stable order, each once. A link that leads out of its folder is put into `left`
    instead, where that is given; one that is named itself is followed. Folders that cannot be looked into are put into
    `closed`."""
    seen: set[Path] = set()
    for root in paths:
        for path in [root] if root.is_file() else _walk(root, [] if closed is None else closed):
            if path.resolve() in seen:
                continue
            leads_out = path != root and path.is_symlink() and not path.resolve().is_relative_to(root.resolve())
            if leads_out and left is not None:
                left.append(path)
                continue
            seen.add(path.resolve())
            if root.is_file():
                yield Source(path, _readable(path.name), path.stat().st_size)
            else:
                yield Source(path, _readable(path.relative_to(root).as_posix()), path.stat().st_size, mark(root))


def _names(name: str, folder: str) -> Iterator[str]:
    """What a document may be called, the plainest first."""
    yield name
    yield f"{folder.rpartition('-')[0]}/{name}"
    yield f"{folder}/{name}"
    yield from (f"{folder}/{number}/{name}" for number in count(2))  # two names that differed in what is no text


def _readable(name: str) -> str:
    """A name as text that a form carries; one that is not UTF-8 is read as of old Windows archives."""
    try:
        name.encode()
    except UnicodeEncodeError:
        name = os.fsencode(name).decode("cp1252", "replace")
    return carried(name)


def mark(folder: Path) -> str:
    """What a folder is known by: its name, and a digest of where it is, which tells nobody where."""
    place = folder.resolve()
    return f"{_readable(place.name) or 'root'}-{hashlib.sha256(os.fsencode(place)).hexdigest()[:12]}"


def _walk(root: Path, closed: list[OSError]) -> Iterator[Path]:
    for folder, folders, files in os.walk(root, onerror=closed.append):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in SKIPPED_FOLDERS)
        for name in sorted(files):
            path = Path(folder, name)
            if not name.startswith(".") and path.is_file():
                yield path


def _apart(sources: list[Source], rows: list[dict[str, Any]]) -> tuple[list[Source], list[str]]:
    """The sources, no two under one name, and none under that of what came from a folder of another name; and what there is to
    tell of them. What came from a folder of the same name elsewhere is replaced: it was moved."""
    marks = {row["name"]: str(row["metadata"].get(FOLDER) or "") for row in rows}
    names: dict[Path, str] = {}
    taken: set[str] = set()
    own = {(name, folder) for name, folder in marks.items() if folder}
    # who has the name already keeps it
    for source in sorted(sources, key=lambda source: (source.name, source.folder) not in own):
        folder = source.folder or mark(source.path.parent)
        names[source.path] = next(
            name
            for name in _names(source.name, folder)
            if name not in taken and (source.folder is None or _same(marks.get(name, ""), folder))
        )
        taken.add(names[source.path])
    named = [replace(source, name=names[source.path]) for source in sources]
    others = [now.name for source, now in zip(sources, named, strict=True) if source.name != now.name]
    moved = [one.name for one in named if one.folder and marks.get(one.name, "") not in ("", one.folder)]
    told = [f"{_listed(others)}: called so, since there is one of that name from another folder."] if others else []
    if moved:
        told.append(f"{_listed(moved)}: in place of what came from a folder of the same name elsewhere.")
    return named, told


def _same(folder: str, other: str) -> bool:
    """Whether two marks are of folders of one name; what has no mark may be of any."""
    return not folder or folder.rpartition("-")[0] == other.rpartition("-")[0]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


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


def _rows(platform: Platform, collection: str, sources: list[Source]) -> list[dict[str, Any]]:
    """The collection's documents, where there is a folder that they may have come from."""
    if not any(source.folder for source in sources):
        return []
    try:
        return list(platform.pages(f"/api/v1/rag/collections/{collection}/documents", limit=200))
    except CallFailed as failure:
        if failure.status != 404:  # the whole collection was deleted meanwhile
            raise
        return []


def _upload(platform: Platform, collection: str, sources: list[Source]) -> tuple[list[str], list[dict[str, str]]]:
    """The jobs of what was taken, and what was wrong with the others. Of an upload that is refused for what it holds, each half
    is sent by itself, until one file is left to blame."""
    jobs: list[str] = []
    errors: list[dict[str, str]] = []
    with bar() as progress:
        task = progress.add_task("uploading", total=len(sources))
        todo = deque(batches(sources))
        while todo:
            batch = todo.popleft()
            files: list[tuple[str, tuple[str, bytes]]] = []
            for source in batch:
                try:
                    files.append(("files", (source.name, source.path.read_bytes())))
                except (OSError, MemoryError) as error:
                    errors.append(_unread(error, source.name))
            metadata = {FOLDER: batch[0].folder} if batch[0].folder else {}
            try:
                if files:
                    jobs.append(_send(platform, collection, files, metadata))
            except CallFailed as failure:
                if failure.status not in _REFUSED:
                    raise
                sent = {name for _, (name, _) in files}
                batch = [source for source in batch if source.name in sent]
                if len(batch) > 1:
                    todo.extendleft([batch[len(batch) // 2 :], batch[: len(batch) // 2]])
                    continue
                errors.append({"code": failure.code, "document": batch[0].name, "message": str(failure)})
            progress.advance(task, len(batch))
    return jobs, errors


def _unread(error: OSError | MemoryError, name: str = "") -> dict[str, str]:
    reason = (error.strerror if isinstance(error, OSError) else None) or "it is too large"
    named = name or (str(error.filename) if isinstance(error, OSError) else "")
    return {"code": "cannot_be_read", "document": named, "message": f"It cannot be read here: {reason}."}


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
    rows = _rows(platform, collection, sources)
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
