"""`genai models`: what a request can name, what it costs, and how it stands."""

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from server.cli.client import platform_of

STYLES = {"ready": "green", "idle": "dim", "loading": "yellow", "limited": "yellow", "half_open": "yellow", "failed": "red"}


def models(
    context: typer.Context,
    alias: Annotated[str | None, typer.Argument(help="One alias; nothing: all of them.")] = None,
) -> None:
    """Model aliases with their deployments: state, latency and price."""
    platform = platform_of(context)
    rows = [platform.get(f"/api/v1/models/{alias}")] if alias else list(platform.pages("/api/v1/models"))
    table = Table("alias", Column("deployment", no_wrap=True), "state", "first token", "$ a million in / out", box=None)
    for row in rows:
        how = row["strategy"] if row["kind"] == "chat" else row["kind"]
        for number, deployment in enumerate(row["deployments"]):
            table.add_row("" if number else f"{row['alias']} ({how})", *_cells(deployment))
    Console().print(table)


def _cells(deployment: dict[str, Any]) -> tuple[str, ...]:
    state = _state(deployment)
    style = STYLES.get(state.split(":")[0], "red")
    latency = deployment["health"]["first_token_s"]
    return (
        f"{deployment['provider']}/{deployment['model']}",
        f"[{style}]{state}[/{style}]",
        "-" if latency is None else f"{latency:.2f} s",
        _price(deployment["price"]),
    )


def _state(deployment: dict[str, Any]) -> str:
    """What an operator has to know first: that it is left alone, was not found by a probe, or is held."""
    health = deployment["health"]
    if health["breaker"] != "closed":
        return f"{health['breaker']}: {health['last_error'] or 'failed elsewhere'}"
    if health["probe"] and not health["probe"]["ok"]:
        return f"failed: {health['probe']['error']}"
    if health["held_s"] > 0:
        return f"limited: {health['held_s']:.0f} s"
    return str(deployment["state"])


def _price(price: dict[str, Any]) -> str:
    if price["per_hour_usd"] is not None:
        return f"{price['per_hour_usd']:g} / h"
    if price["input_usd_per_million"] is None:
        return "unpriced"
    figures = " / ".join(f"{price[f'{name}_usd_per_million'] or 0:g}" for name in ("input", "output"))
    return figures + (" (fallback)" if price["basis"] == "fallback" else "")
