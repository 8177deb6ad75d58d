"""`genai login` and `genai logout`: keep a key, so that no later command asks for one."""

from typing import Annotated

import typer
from rich import print as show

from server.cli.client import Platform, platform_of
from server.cli.credentials import forget_key, save_key


def login(
    context: typer.Context,
    key: Annotated[str, typer.Option(prompt="Key", hide_input=True, help="The key; asked for when it is not given.")],
) -> None:
    """Check a key against the platform and keep it in a file that only you can read."""
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
