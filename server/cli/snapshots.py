"""`genai snapshots`: a collection in one file, and back into a new collection."""

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from server.cli import tables
from server.cli.client import platform_of
from server.cli.progress import follow

app = typer.Typer(help="Snapshots of collections: take, list, fetch, restore, delete.", no_args_is_help=True)
SnapshotID = Annotated[str, typer.Argument(metavar="SNAPSHOT", help="The snapshot's identifier.")]


@app.command("take")
def take(
    context: typer.Context,
    collection: Annotated[str, typer.Option("--collection", "-c", help="Of which collection.")],
    to: Annotated[Path | None, typer.Option("--to", help="A file to fetch it into at once.")] = None,
) -> None:
    """Have a collection written into one file on the platform. Exit 1 when that failed."""
    platform = platform_of(context)
    accepted = platform.post(f"/api/v1/rag/collections/{quote(collection, safe='')}/snapshots")
    job = follow(platform, [accepted["job_id"]], title="writing")[0]
    _end(job)
    result = job["result"]
    left_out = f", {result['left_out']} left out that are not read yet" if result["left_out"] else ""
    typer.echo(f"{result['snapshot']}: {result['documents']} documents, {result['bytes']} bytes{left_out}")
    if to is not None:
        platform.download(f"/api/v1/rag/snapshots/{result['snapshot']}", to)


@app.command("list")
def list_snapshots(context: typer.Context) -> None:
    """Snapshots that can be fetched or restored, and such as are being taken."""
    rows = tables.table("snapshot", "collection", "state", "bytes", "taken", "until")
    for one in platform_of(context).pages("/api/v1/rag/snapshots"):
        moments = (str(one[field] or "")[:19] for field in ("created_at", "expires_at"))
        rows.add_row(one["id"], one["collection"], one["state"], str(one["size"]), *moments)
    tables.show(rows)


@app.command("fetch")
def fetch(
    context: typer.Context, snapshot: SnapshotID, file: Annotated[Path, typer.Argument(help="Where to write it.")]
) -> None:
    """Fetch a snapshot into a file."""
    size = platform_of(context).download(f"/api/v1/rag/snapshots/{quote(snapshot, safe='')}", file)
    typer.echo(f"{size} bytes")


@app.command("restore")
def restore(
    context: typer.Context, snapshot: SnapshotID, name: Annotated[str, typer.Argument(help="Of the new collection.")]
) -> None:
    """Bring a snapshot into a new collection. Exit 1 when that failed."""
    platform = platform_of(context)
    accepted = platform.post(f"/api/v1/rag/snapshots/{quote(snapshot, safe='')}/restore", {"name": name})
    job = follow(platform, [accepted["job_id"]], title="reading")[0]
    _end(job)
    left_out = job["result"]["left_out"]
    told = f", {left_out} left out whose names others have" if left_out else ""
    typer.echo(f"{name}: {job['result']['documents']} documents{told}")


@app.command("delete")
def delete(context: typer.Context, snapshot: SnapshotID) -> None:
    """Delete a snapshot for good."""
    platform_of(context).delete(f"/api/v1/rag/snapshots/{quote(snapshot, safe='')}")


def _end(job: dict[str, object]) -> None:
    """Exit 1 with the reasons where it has not succeeded."""
    if job["state"] == "succeeded":
        return
    for error in job["errors"]:  # type: ignore[attr-defined]  # a list
        typer.echo(f"{error['code']}: {error['message']}", err=True)
    raise typer.Exit(1)
