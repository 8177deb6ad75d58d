"""`genai chat`: one question, or a conversation in the terminal."""

import sys
from typing import Annotated, Any

import typer
from rich.console import Console

from server.cli.answers import show_stream
from server.cli.client import CallFailed, Platform, platform_of

CHAT = "/api/v1/chat"


def chat(
    context: typer.Context,
    message: Annotated[list[str] | None, typer.Argument(help="What to say; - reads stdin; nothing: a conversation.")] = None,
    model: Annotated[str | None, typer.Option(help="Alias of the model.")] = None,
    system: Annotated[str | None, typer.Option(help="Instructions for the whole conversation.")] = None,
    session: Annotated[str | None, typer.Option(help="Keep the conversation on the platform under this name.")] = None,
) -> None:
    """Chat with a model. Ctrl-D ends the conversation, Ctrl-C stops an answer."""
    platform = platform_of(context)
    options = {name: value for name, value in {"model": model, "session_id": session}.items() if value}
    opening = [{"role": "system", "content": system}] if system else []
    text = " ".join(message or [])
    if text == "-":
        text = sys.stdin.read()
    if text:
        show_stream(platform.stream(CHAT, {"messages": [*opening, {"role": "user", "content": text}], **options}))
    else:
        _converse(platform, opening, options)


def _converse(platform: Platform, opening: list[dict[str, str]], options: dict[str, Any]) -> None:
    """With a session the platform remembers, so only what is new is sent; without one, everything is, each time."""
    console = Console()
    console.print(f"[dim]{platform.url} · Ctrl-D ends[/dim]")
    said = opening
    while True:
        try:
            text = console.input("[bold]you >[/bold] ").strip()
        except (EOFError, KeyboardInterrupt):
            console.print()
            return
        if not text:
            continue
        said = [*said, {"role": "user", "content": text}]
        try:
            reply = show_stream(platform.stream(CHAT, {"messages": said, **options}))
        except CallFailed as failure:
            console.print(f"[red]{failure.code}[/red]: {failure}", highlight=False)
            said = said[:-1]
            continue
        except KeyboardInterrupt:
            console.print("[dim]stopped[/dim]")
            said = said[:-1]
            continue
        said = [] if "session_id" in options else [*said, {"role": "assistant", "content": reply}]
