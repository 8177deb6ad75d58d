"""`genai refresh`: read documents again that would be read otherwise now."""

from typing import Annotated
from urllib.parse import quote

import typer

from server.cli.client import platform_of
from server.cli.progress import follow


def refresh(
    context: typer.Context,
    collection: Annotated[str, typer.Option("--collection", "-c", help="Which collection.")],
) -> None:
    """Read those of a collection's documents again that would be read otherwise now: its splitting, or the version, changed.

    Exit 1 when one of them failed.
    """
    platform = platform_of(context)
    accepted = platform.post(f"/api/v1/rag/collections/{quote(collection, safe='')}/refresh")
    job = follow(platform, [accepted["job_id"]])[0]
    typer.echo(f"{accepted['documents']} documents read again")
    for error in job["errors"]:
        typer.echo(f"{error['document']}: {error['message']}", err=True)
    if job["state"] != "succeeded" or job["errors"]:
        raise typer.Exit(1)
