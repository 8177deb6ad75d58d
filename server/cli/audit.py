"""`genai audit`: what is on record."""

from typing import Annotated, Any

import typer
from rich.console import Console

from server.cli import tables
from server.cli.client import platform_of

app = typer.Typer(help="The audit log: list, verify.", no_args_is_help=True)
AUDIT = "/api/v1/audit"


@app.command("list")
def list_events(
    context: typer.Context,
    action: Annotated[str | None, typer.Option(help="Such events alone, as key.revoked.")] = None,
    actor: Annotated[str | None, typer.Option(help="Those of this user, service account or key.")] = None,
    object: Annotated[str | None, typer.Option(help="Those on the object of this identifier.")] = None,  # noqa: A002 - its name
    since: Annotated[str | None, typer.Option("--from", help="Not before, as 2026-01-31T00:00:00Z.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Before, as 2026-02-01T00:00:00Z.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most as many.")] = 50,
) -> None:
    """The newest events: when, what, how it ended, who, on what, from where."""
    asked: dict[str, Any] = {"action": action, "actor": actor, "object": object, "from": since, "to": until, "limit": limit}
    rows = tables.table("no", "when", "action", "outcome", "actor", "on", "from")
    for event in platform_of(context).get(AUDIT, **asked)["results"]:
        on = f"{event['object_type']} {event['object_id']}" if event["object_type"] else "-"
        rows.add_row(
            str(event["number"]),
            event["at"][:19],
            event["action"],
            event["outcome"],
            event["actor"],
            on,
            event["address"] or "-",
        )
    tables.show(rows)


@app.command("verify")
def verify(context: typer.Context) -> None:
    """Verify the tenant's chain. Exit 1 where an event was edited, removed, or put elsewhere."""
    found = platform_of(context).get(f"{AUDIT}/verify")
    if found["valid"]:
        Console(markup=False, highlight=False).print(f"whole: {found['events']} events", found["hash"], soft_wrap=True)
        return
    Console(stderr=True, markup=False).print(f"BROKEN: event {found['broken_at']}: {found['reason']}")
    raise typer.Exit(1)
