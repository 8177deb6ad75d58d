"""`genai registry`: versions of models, deployed and taken back; the whole of it as TOML."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console

from server.cli import tables
from server.cli.client import platform_of

app = typer.Typer(help="Model registry: list, deploy, roll back, history, export, import.", no_args_is_help=True)
REGISTRY = "/api/v1/models/registry"
AliasArgument = Annotated[str, typer.Argument(help="A model alias.")]
Reason = Annotated[str, typer.Option(help="Why, for whoever reads the history.")]


@app.command("list")
def list_aliases(context: typer.Context) -> None:
    """Which version of each alias is live, and which canaries go on."""
    rows = tables.table("alias", "live", "candidate", "share", "step")
    for each in platform_of(context).pages(REGISTRY):
        canary = each["canary"]
        step = f"{each['step'] + 1} of {len(canary['steps'])}" if canary else "-"
        rows.add_row(each["name"], _text(each["live"]), _text(each["candidate"]), f"{each['share']:.0%}", step)
    tables.show(rows)


@app.command("versions")
def list_versions(context: typer.Context, alias: AliasArgument) -> None:
    """The versions of an alias, the newest first."""
    rows = tables.table("version", "state", "source", "made", "models", "why")
    for each in platform_of(context).pages(f"{_of(alias)}/versions"):
        models = ", ".join(f"{one['provider']}/{one['model']}" for one in each["content"]["deployments"])
        rows.add_row(str(each["number"]), each["state"], each["source"], each["created_at"][:19], models, each["reason"] or "")
    tables.show(rows)


@app.command("history")
def show_history(context: typer.Context, alias: AliasArgument) -> None:
    """What has happened to an alias, the newest first."""
    rows = tables.table("at", "what", "version", "live", "candidate", "share", "by", "why")
    for each in platform_of(context).pages(f"{_of(alias)}/history"):
        figures = (each["version"], each["live"], each["candidate"])
        told = (f"{each['share']:.0%}", each["created_by"] or "-", each["reason"] or "")
        rows.add_row(each["at"][:19], each["act"], *map(_text, figures), *told)
    tables.show(rows)


@app.command("diff")
def show_difference(context: typer.Context, alias: AliasArgument, before: int, after: int) -> None:
    """What two versions of an alias do not say the same of."""
    rows = tables.table("field", str(before), str(after))
    told = platform_of(context).get(f"{_of(alias)}/diff", before=before, after=after)
    for each in told["differences"]:
        rows.add_row(each["field"], json.dumps(each["before"]), json.dumps(each["after"]))
    tables.show(rows)


@app.command("deploy")
def deploy(context: typer.Context, alias: AliasArgument, version: int, reason: Reason = "") -> None:
    """Give a version all requests, in every process within a second."""
    told = platform_of(context).post(f"{_of(alias)}/deploy", {"version": version, "reason": reason})
    _say(alias, told)


@app.command("rollback")
def roll_back(context: typer.Context, alias: AliasArgument, reason: Reason = "") -> None:
    """Take a canary back, or go back to the version that was live before."""
    _say(alias, platform_of(context).post(f"{_of(alias)}/rollback", {"reason": reason}))


@app.command("export")
def export(context: typer.Context) -> None:
    """Write the live version of every alias to standard output, as the TOML of the settings."""
    sys.stdout.write(platform_of(context).text(f"{REGISTRY}.toml"))


@app.command("import")
def bring_in(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="TOML with [[models]].", exists=True, dir_okay=False)],
    reason: Reason = "",
    draft: Annotated[bool, typer.Option(help="Make drafts; deploy nothing.")] = False,
) -> None:
    """Make versions of the aliases that are not live as the file has them, and deploy them."""
    given = {"toml": file.read_text(encoding="utf-8"), "deploy": not draft, "reason": reason}
    made = platform_of(context).post(f"{REGISTRY}.toml", given)["results"]
    console = Console(stderr=True)
    for each in made:
        console.print(f"{each['name']}: version {each['number']}, {each['state']}", markup=False)
    if not made:
        console.print(f"Everything is {'live, or a draft,' if draft else 'live'} as the file has it.")


def _of(alias: str) -> str:
    return f"{REGISTRY}/{quote(alias)}"


def _say(alias: str, standing: dict[str, Any]) -> None:
    Console(stderr=True).print(f"{alias}: version {standing['live']} is live.", markup=False)


def _text(number: int | None) -> str:
    return "-" if number is None else str(number)
