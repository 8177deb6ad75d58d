"""`genai reindex`: move collections to another vector store or embedding model, go back, see where they are."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from server.cli import tables
from server.cli.client import Platform, platform_of
from server.cli.progress import follow


def reindex(
    context: typer.Context,
    to: Annotated[
        str | None, typer.Option("--to", help="STORE, STORE:ALIAS or :ALIAS, where ALIAS names an embedding model.")
    ] = None,
    source: Annotated[str | None, typer.Option("--from", help="Move what is there: STORE, STORE:ALIAS or :ALIAS.")] = None,
    collection: Annotated[list[str] | None, typer.Option("--collection", "-c", help="Move these. May be repeated.")] = None,
    everywhere: Annotated[bool, typer.Option("--everywhere", help="Of all tenants.")] = False,
    keep_s: Annotated[float | None, typer.Option(min=0, help="Seconds that former vectors are kept.")] = None,
    back: Annotated[bool, typer.Option("--back", help="Go back to where the collections were before.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Only tell where the collections' vectors are.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for the end.")] = False,
) -> None:
    """Move collections to another vector store or embedding model, while they are asked and changed.

    Exit 1 when a collection could not be moved.
    """
    platform, names = platform_of(context), collection or []
    if show:
        _show(platform, names)
        return
    if back and names:
        accepted = [platform.post(f"/api/v1/rag/collections/{quote(name, safe='')}/rollback") for name in names]
    elif to and not back:
        body: dict[str, Any] = {"to": to, "collections": names, "everywhere": everywhere}
        body |= {name: value for name, value in (("from", source), ("keep_s", keep_s)) if value is not None}
        accepted = [platform.post("/api/v1/rag/reindex", body)]
    else:
        raise typer.BadParameter("say --to, or --back with the collections")
    typer.echo(f"{sum(one['collections'] for one in accepted)} collections", err=True)
    jobs = [one["job_id"] for one in accepted]
    if detach:
        for job in jobs:
            typer.echo(job)
        return
    finals = follow(platform, jobs, title="moving")
    for final in finals:
        typer.echo(f"{final['id']} {final['state']}, {(final['result'] or {}).get('moved', 0)} moved")
        for error in final["errors"]:
            typer.echo(f"{error['document']}: {error['message']}", err=True)
    if any(final["state"] != "succeeded" or final["errors"] for final in finals):
        raise typer.Exit(1)


def _show(platform: Platform, names: list[str]) -> None:
    rows = tables.table("collection", "state", "store", "model", "since", "kept until", "generation")
    for name in names or [one["name"] for one in platform.get("/api/v1/rag/collections", limit=200)["results"]]:
        for one in platform.get(f"/api/v1/rag/collections/{quote(name, safe='')}/generations")["results"]:
            since, until = (str(one[field] or "")[:19] for field in ("switched_at", "kept_until"))
            rows.add_row(name, one["state"], one["store"], one["model"], since, until, one["id"])
    tables.show(rows)
