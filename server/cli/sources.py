"""`genai sources`: places that a collection is filled from, crawled now and by schedule."""

import json
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console

from server.cli import tables
from server.cli.client import CallFailed, Platform, platform_of
from server.cli.progress import follow

app = typer.Typer(help="Sources of a collection: add, list, crawl, pause, delete.", no_args_is_help=True)
Collection = Annotated[str, typer.Option("--collection", "-c", help="Which collection.")]
Name = Annotated[str, typer.Argument(metavar="SOURCE", help="The source's name or identifier.")]
Every = Annotated[int | None, typer.Option("--every", min=1, metavar="MINUTES", help="Crawl it every so many minutes.")]
Cron = Annotated[str | None, typer.Option("--cron", help='Crawl it at these times, such as "0 3 * * *".')]
Zone = Annotated[str | None, typer.Option("--time-zone", help="Of --cron; UTC without.")]
Include = Annotated[list[str] | None, typer.Option("--include", help="Only files that fit, such as '*.md'; may be repeated.")]
Exclude = Annotated[list[str] | None, typer.Option("--exclude", help="No files that fit; may be repeated.")]


@app.command("add")
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What it is called; its documents' names begin with it.")],
    place: Annotated[
        list[str], typer.Argument(help="/a/folder/on/the/server · s3://, gs:// or az://BUCKET/PREFIX · addresses of pages")
    ],
    collection: Collection,
    sitemap: Annotated[bool, typer.Option("--sitemap", help="The address is of a sitemap, or of a site that has one.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Delete documents whose file is no longer there.")] = False,
    every: Every = None,
    cron: Cron = None,
    time_zone: Zone = None,
    include: Include = None,
    exclude: Exclude = None,
    region: Annotated[str | None, typer.Option("--region", help="Of an S3 bucket.")] = None,
    endpoint: Annotated[str | None, typer.Option("--endpoint", help="Of an S3 service beside AWS.")] = None,
    account: Annotated[str | None, typer.Option("--account", help="The storage account of an Azure container.")] = None,
    secrets: Annotated[
        Path | None, typer.Option("--secrets", exists=True, dir_okay=False, help="JSON file with what opens the bucket.")
    ] = None,
    crawl: Annotated[bool, typer.Option("--crawl", help="Crawl it at once, and wait for that.")] = False,
) -> None:
    """Make a source of a collection, which is made when it is not there."""
    platform = platform_of(context)
    kind, location = _placed(place, sitemap=sitemap)
    location |= {key: value for key, value in (("region", region), ("endpoint", endpoint), ("account", account)) if value}
    body: dict[str, Any] = {"name": name, "kind": kind, "location": location, "prune": prune}
    body |= {"include": include or [], "exclude": exclude or [], "schedule": _schedule(every, cron, time_zone)}
    if secrets is not None:
        body["secrets"] = json.loads(secrets.read_text())
    try:
        platform.post("/api/v1/rag/collections", {"name": collection})
    except CallFailed as failure:
        if failure.status != 409:
            raise
    made = platform.post(_path(collection), body)
    typer.echo(f"{made['id']} {made['name']}")
    if crawl:
        _crawl(platform, collection, made)


@app.command("list")
def list_sources(context: typer.Context, collection: Collection) -> None:
    """The sources of a collection, with their last crawl and the next."""
    rows = tables.table("source", "name", "kind", "documents", "state", "last crawl", "next")
    for row in platform_of(context).pages(_path(collection)):
        last = row["last_crawl"] or {}
        state = "paused" if row["paused"] else "crawling" if row["crawl_job_id"] else last.get("state", "new")
        documents = ", ".join(f"{count} {name}" for name, count in sorted(row["documents"].items())) or "none"
        rows.add_row(row["id"], row["name"], row["kind"], documents, state, _moment(last.get("at")), _moment(row["next_at"]))
    tables.show(rows)


@app.command("show")
def show(context: typer.Context, source: Name, collection: Collection) -> None:
    """All that is known of a source, as JSON."""
    Console().print_json(data=_found(platform_of(context), collection, source))


@app.command("crawl")
def crawl_source(context: typer.Context, source: Name, collection: Collection) -> None:
    """Crawl a source now, and wait for what is new to be brought in. Exit 1 when something failed."""
    platform = platform_of(context)
    _crawl(platform, collection, _found(platform, collection, source))


@app.command("change")
def change(
    context: typer.Context,
    source: Name,
    collection: Collection,
    prune: Annotated[bool | None, typer.Option("--prune/--no-prune", help="Delete what is gone, or leave it.")] = None,
    every: Every = None,
    cron: Cron = None,
    time_zone: Zone = None,
    never: Annotated[bool, typer.Option("--never", help="Crawl it only when somebody asks.")] = False,
    include: Include = None,
    exclude: Exclude = None,
) -> None:
    """Change when a source is crawled, and what of it is taken."""
    platform = platform_of(context)
    changes: dict[str, Any] = {"prune": prune, "include": include, "exclude": exclude}
    changes = {name: value for name, value in changes.items() if value is not None}
    if never or every or cron:
        changes["schedule"] = None if never else _schedule(every, cron, time_zone)
    row = _found(platform, collection, source)
    Console().print_json(data=platform.patch(f"{_path(collection)}/{row['id']}", changes))


@app.command("pause")
def pause(context: typer.Context, source: Name, collection: Collection) -> None:
    """Crawl a source no more, and begin none of its documents."""
    _act(platform_of(context), collection, source, "pause")


@app.command("resume")
def resume(context: typer.Context, source: Name, collection: Collection) -> None:
    """Go on with a source."""
    _act(platform_of(context), collection, source, "resume")


@app.command("cancel")
def cancel(context: typer.Context, source: Name, collection: Collection) -> None:
    """Stop the crawl of a source, and what it was bringing in."""
    _act(platform_of(context), collection, source, "cancel")


@app.command("delete")
def delete(
    context: typer.Context,
    source: Name,
    collection: Collection,
    documents: Annotated[bool, typer.Option("--documents", help="Delete its documents, too; else they stay.")] = False,
) -> None:
    """Delete a source."""
    platform = platform_of(context)
    row = _found(platform, collection, source)
    platform.delete(f"{_path(collection)}/{row['id']}?documents={str(documents).lower()}")


def _placed(place: list[str], *, sitemap: bool) -> tuple[str, dict[str, Any]]:
    """The kind of a place, and its location."""
    first = place[0]
    if first.startswith(("http://", "https://")):
        return ("sitemap", {"url": first}) if sitemap else ("urls", {"urls": place})
    if len(place) > 1:
        raise typer.BadParameter("a source is one folder or bucket, or several addresses")
    return ("blobs", {"url": first}) if "://" in first else ("folder", {"path": first})


def _schedule(every: int | None, cron: str | None, time_zone: str | None) -> dict[str, Any] | None:
    if every is not None and cron is not None:
        raise typer.BadParameter("--every or --cron, not both")
    if cron is not None:
        return {"cron": cron} | ({"time_zone": time_zone} if time_zone else {})
    return None if every is None else {"every_minutes": every}


def _found(platform: Platform, collection: str, source: str) -> dict[str, Any]:
    for row in platform.pages(_path(collection)):
        if source in (row["id"], row["name"]):
            return row
    raise CallFailed(f"there is no source {source!r} in {collection}", code="source_not_found")


def _act(platform: Platform, collection: str, source: str, act: str) -> None:
    row = _found(platform, collection, source)
    platform.post(f"{_path(collection)}/{row['id']}/{act}")


def _crawl(platform: Platform, collection: str, row: dict[str, Any]) -> None:
    accepted = platform.post(f"{_path(collection)}/{row['id']}/crawl")
    job = follow(platform, [accepted["job_id"]], title="crawling ")[0]
    told = tables.table("found", "number")
    for name, number in (job["result"] or {}).items():
        told.add_row(name, str(number))
    tables.show(told)
    for error in job["errors"]:
        typer.echo(f"{error['code']} {error['document']}: {error['message']}", err=True)
    if job["state"] != "succeeded" or job["failed"]:
        raise typer.Exit(1)


def _path(collection: str) -> str:
    return f"/api/v1/rag/collections/{quote(collection, safe='')}/sources"


def _moment(told: str | None) -> str:
    return (told or "")[:16].replace("T", " ")
