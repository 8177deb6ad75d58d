"""`genai login` and `genai logout`: keep a key, so that no later command asks for one."""

import sys
from typing import Annotated

import typer
from rich import print as show

from server.cli.client import Platform, platform_of
from server.cli.credentials import forget_key, save_key


def login(
    context: typer.Context,
    key: Annotated[str | None, typer.Option(help="The key; asked for, or read from a pipe, when it is not given.")] = None,
) -> None:
    """Check a key against the platform and keep it in a file that only you can read."""
    if key is None:
        key = str(typer.prompt("Key", hide_input=True)) if sys.stdin.isatty() else sys.stdin.readline()
    known = platform_of(context)
    url = known.url
    platform = Platform(url, key.strip(), verify=known.verify)
    try:
        me = platform.get("/api/v1/auth/me")
    finally:
        platform.close()
    show(f"Hello {me['name']} ({me['role']}). The key for {url} is kept in {save_key(url, key.strip())}.")


def logout(context: typer.Context) -> None:
    """Forget the key that `genai login` kept for this platform."""
    url = platform_of(context).url
    show(f"The key for {url} is forgotten." if forget_key(url) else f"No key was kept for {url}.")
