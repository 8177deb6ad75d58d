"""`genai dead-letters`: documents that could not be brought in."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from server.cli import tables
from server.cli.client import platform_of
from server.cli.progress import follow

app = typer.Typer(help="Documents that could not be brought in: list, retry, delete.", no_args_is_help=True)
Collection = Annotated[str, typer.Option("--collection", "-c", help="Which collection.")]
Code = Annotated[str | None, typer.Option("--code", help="Only those with this reason, such as corrupt_file.")]
Documents = Annotated[list[str] | None, typer.Argument(metavar="[DOCUMENT]...", help="Their identifiers; without, all.")]


@app.command("list")
def list_dead_letters(
    context: typer.Context,
    collection: Annotated[str | None, typer.Option("--collection", "-c", help="Which collection; without, all.")] = None,
    code: Code = None,
) -> None:
    """What could not be brought in, with the reason."""
    path = "/api/v1/rag/dead-letters" if collection is None else _path(collection)
    rows = tables.table("document", "collection", "name", "reason", "tries", "failed")
    for row in platform_of(context).pages(path, code=code):
        reason = f"{row['code']}: {row['message']}"
        rows.add_row(row["id"], row["collection"], row["name"], reason, str(row["attempts"]), row["failed_at"][:16])
    tables.show(rows)


@app.command("retry")
def retry(context: typer.Context, collection: Collection, documents: Documents = None, code: Code = None) -> None:
    """Try them again, and wait for that. Exit 1 when one failed again."""
    platform = platform_of(context)
    wanted: dict[str, Any] = {"documents": documents, "code": code}
    told = platform.post(f"{_path(collection)}/retry", {name: value for name, value in wanted.items() if value})
    jobs = [*([told["job_id"]] if told["job_id"] else []), *told["crawl_jobs"]]
    typer.echo(f"{told['documents']} tried again, {len(told['crawl_jobs'])} sources crawled, {told['left']} to be given anew.")
    finals = follow(platform, jobs, title="trying ") if jobs else []
    for error in (error for final in finals for error in final["errors"]):
        typer.echo(f"{error['code']} {error['document']}: {error['message']}", err=True)
    if any(final["failed"] for final in finals):
        raise typer.Exit(1)


@app.command("delete")
def delete(context: typer.Context, collection: Collection, documents: Documents = None, code: Code = None) -> None:
    """Delete them, with what was found of them before they failed."""
    platform = platform_of(context)
    if documents:
        for document in documents:
            platform.delete(f"/api/v1/rag/collections/{quote(collection, safe='')}/documents/{quote(document, safe='')}")
        typer.echo(f"{len(documents)} deleted.")
        return
    suffix = f"?code={quote(code, safe='')}" if code else ""
    typer.echo(f"{platform.delete(f'{_path(collection)}{suffix}')['documents']} deleted.")


def _path(collection: str) -> str:
    return f"/api/v1/rag/collections/{quote(collection, safe='')}/dead-letters"
