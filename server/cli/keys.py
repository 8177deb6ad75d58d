"""`genai keys`: keys of the platform, and links to sign in with."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console

from server.cli import tables
from server.cli.client import platform_of

app = typer.Typer(help="Keys: list, create, revoke; and sign-in links.", no_args_is_help=True)
KEYS = "/api/v1/keys"


@app.command("list")
def list_keys(context: typer.Context) -> None:
    """Every key: its name, role and first characters, never the key."""
    rows = tables.table("key", "name", "role", "begins", "last used", "expires", "state")
    for key in platform_of(context).pages(KEYS):
        state = "revoked" if key.get("revoked_at") else "active"
        moments = (str(key.get(name) or "-")[:19] for name in ("last_used_at", "expires_at"))
        rows.add_row(key["id"], key["name"], key["role"], key.get("hint", ""), *moments, state)
    tables.show(rows)


@app.command("create")
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    role: Annotated[str, typer.Option(help="admin, developer, analyst, user, or a role of your own.")] = "developer",
    days: Annotated[int | None, typer.Option(min=1, help="Days until it expires; nothing: it does not.")] = None,
    user: Annotated[str | None, typer.Option(help="Identifier of the user or service account that it acts for.")] = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="This of the role's scopes alone; may be given several times.")
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="For this alias of a model alone; several times.")] = None,
    collection: Annotated[list[str] | None, typer.Option(help="For this collection alone; several times.")] = None,
    network: Annotated[list[str] | None, typer.Option(help="From this network alone, as 10.1.0.0/16; several times.")] = None,
) -> None:
    """Make a key and print it, once."""
    body: dict[str, object] = {"name": name, "role": role}
    limits = {"user_id": user, "scopes": scope, "models": model, "collections": collection, "networks": network}
    body |= {field: value for field, value in limits.items() if value}
    if days:
        body["expires_at"] = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    _show_once(platform_of(context).post(KEYS, body))


@app.command("rotate")
def rotate(
    context: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY_ID", help="The key's identifier.")],
    overlap: Annotated[int, typer.Option(min=0, help="Hours that the old key goes on working.")] = 24,
) -> None:
    """Put a new key in the place of one, with the same rights, and print it, once."""
    _show_once(platform_of(context).post(f"{KEYS}/{key}/rotate", {"overlap_s": overlap * 3600}))


def _show_once(made: dict[str, Any]) -> None:
    Console(stderr=True).print(f"{made['id']}: keep this key now, it is not shown again.")
    print(made["key"])  # noqa: T201 - the one line that a script reads


@app.command("revoke")
def revoke(context: typer.Context, key: Annotated[str, typer.Argument(metavar="KEY_ID", help="The key's identifier.")]) -> None:
    """Make a key useless, at once."""
    platform_of(context).delete(f"{KEYS}/{key}")
    Console(stderr=True).print(f"{key} is revoked.")


@app.command("link")
def link(context: typer.Context) -> None:
    """Print a link that signs one browser in with this key, once."""
    print(platform_of(context).post("/api/v1/auth/sign-in-links")["url"])  # noqa: T201 - for a person or a script
