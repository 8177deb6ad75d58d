"""`genai kill`: models, providers and tenants that are switched off."""

from enum import StrEnum
from typing import Annotated
from urllib.parse import quote

import typer
from rich.console import Console

from server.cli import tables
from server.cli.client import platform_of

app = typer.Typer(help="Kill switches: list, set, lift.", no_args_is_help=True)
SWITCHES = "/api/v1/kill-switches"


class Kind(StrEnum):
    """What can be switched off."""

    MODEL = "model"
    PROVIDER = "provider"
    TENANT = "tenant"


KindArgument = Annotated[Kind, typer.Argument(help="model (an alias or a provider's model), provider, or tenant.")]
NameArgument = Annotated[str, typer.Argument(help="Its name.")]


@app.command("list")
def list_switches(context: typer.Context) -> None:
    """What is switched off, and why."""
    rows = tables.table("kind", "name", "for", "since", "why")
    for each in platform_of(context).get(SWITCHES)["results"]:
        reach = "all tenants" if each["everywhere"] else "this tenant"
        rows.add_row(each["kind"], each["name"], reach, each["created_at"][:19], each["reason"])
    tables.show(rows)


@app.command("set")
def set_switch(
    context: typer.Context,
    kind: KindArgument,
    name: NameArgument,
    reason: Annotated[str, typer.Option(help="Why, for other administrators.")],
) -> None:
    """Switch something off, in every process within a second."""
    platform_of(context).put(f"{SWITCHES}/{kind}/{quote(name)}", {"reason": reason})
    Console(stderr=True).print(f"{kind} {name} is switched off.", markup=False)


@app.command("lift")
def lift(context: typer.Context, kind: KindArgument, name: NameArgument) -> None:
    """Switch it on again."""
    platform_of(context).delete(f"{SWITCHES}/{kind}/{quote(name)}")
    Console(stderr=True).print(f"{kind} {name} is switched on again.", markup=False)
