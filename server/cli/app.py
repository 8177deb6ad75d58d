"""The commands of `genai`, and what they share: the platform that is spoken to, and how a failure is shown."""

import sys
from typing import Annotated

import typer
from rich.console import Console

from core.logs import configure_logging
from core.settings import LogSettings, SettingsError, platform_address, platform_authorities
from server.cli import (
    ask,
    audit,
    backup,
    chat,
    dead_letters,
    ingest,
    jobs,
    keys,
    kill,
    login,
    models,
    reconcile,
    refresh,
    registry,
    reindex,
    serve,
    snapshots,
    sources,
)
from server.cli.client import CallFailed, Platform, authorities
from server.cli.credentials import saved_key
from server.version import platform_version

app = typer.Typer(
    name="genai",
    help="Talk to a GenAI platform: chat, ask your documents, bring documents in.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve", add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(
    serve.serve
)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("login")(login.login)
app.command("logout")(login.logout)
app.command("chat")(chat.chat)
app.command("ask")(ask.ask)
app.command("ingest")(ingest.ingest)
app.command("reconcile")(reconcile.reconcile)
app.command("refresh")(refresh.refresh)
app.command("reindex")(reindex.reindex)
app.command("models")(models.models)
app.add_typer(snapshots.app, name="snapshots")
app.add_typer(jobs.app, name="jobs")
app.add_typer(sources.app, name="sources")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(keys.app, name="keys")
app.add_typer(audit.app, name="audit")
app.add_typer(kill.app, name="kill")
app.add_typer(registry.app, name="registry")

#: They go by the settings of the platform on this machine.
_HERE = ("serve", "backup", "restore")


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"genai {platform_version()}")
        raise typer.Exit


@app.callback()
def connect(
    context: typer.Context,
    url: Annotated[
        str | None,
        typer.Option(
            envvar="GENAI_URL", help="Address of the platform; else what GENAI_PUBLIC_URL or GENAI_HOST and GENAI_PORT say."
        ),
    ] = None,
    key: Annotated[str | None, typer.Option(envvar="GENAI_API_KEY", help="Key; else the one kept by `genai login`.")] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Tell this program's version and end.")
    ] = False,
) -> None:
    """Every command but `serve`, `backup` and `restore` speaks to the platform that these name."""
    if context.invoked_subcommand in _HERE:
        return
    url = (url or platform_address()).rstrip("/")
    platform = Platform(url, key or saved_key(url), verify=authorities(platform_authorities()))
    context.obj = platform
    context.call_on_close(platform.close)


def run() -> None:
    """Run the command that was typed. Exit 1 with one line for what the platform refused, 2 for a setting that cannot be
    read, 130 when interrupted."""
    # what libraries warn of goes to standard error: standard output has the answer alone
    configure_logging(LogSettings(level="warning"), answers_on_stdout=True)
    try:
        app()
    except CallFailed as failure:
        Console(stderr=True).print(f"[red]{failure.code}[/red]: ", end="")
        Console(stderr=True, markup=False, highlight=False).print(str(failure))
        sys.exit(1)
    except SettingsError as mistake:
        sys.stderr.write(f"{mistake}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader (head, less) has gone
        sys.stderr.close()
        sys.exit(141)
