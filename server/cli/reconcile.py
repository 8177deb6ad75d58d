"""`genai reconcile`: put right what the stores hold of a collection."""

from typing import Annotated
from urllib.parse import quote

import typer

from server.cli import tables
from server.cli.client import platform_of
from server.cli.progress import follow


def reconcile(
    context: typer.Context,
    collection: Annotated[str, typer.Option("--collection", "-c", help="Which collection.")],
) -> None:
    """Compare what the stores hold of a collection with its documents, and put right what is missing or too much.

    Exit 1 when that failed, or when documents have to be added again.
    """
    platform = platform_of(context)
    accepted = platform.post(f"/api/v1/rag/collections/{quote(collection, safe='')}/reconcile")
    job = follow(platform, [accepted["job_id"]])[0]
    result = dict(job["result"] or {})
    words = result.pop("word_index", {})
    rows = tables.table("found", "number")
    for name, number in (*result.items(), *((f"word index: {name}", number) for name, number in words.items())):
        rows.add_row(name, str(number))
    tables.show(rows)
    for error in job["errors"]:
        typer.echo(f"{error['document']}: {error['message']}", err=True)
    if job["state"] != "succeeded" or job["errors"]:
        raise typer.Exit(1)
