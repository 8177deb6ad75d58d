"""Showing an answer as it streams, and what came with it: citations, usage, the model."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console

from server.cli.client import Event


def show_stream(events: Iterable[Event]) -> str:
    """Print an answer piece by piece, then its citations, or what comes closest, and what it took; give back its text."""
    out, notes = Console(markup=False, highlight=False, soft_wrap=True), Console(stderr=True, highlight=False)
    pieces: list[str] = []
    citations: list[dict[str, Any]] = []
    nearest: list[dict[str, Any]] = []
    usage: dict[str, Any] = {}
    for event in events:
        data = event.data if isinstance(event.data, dict) else {}
        if event.name == "token":
            piece = str(data.get("text", ""))
            pieces.append(piece)
            out.print(piece, end="")
            out.file.flush()
        elif event.name == "citations":
            citations = data.get("citations", [])
        elif event.name == "usage":
            usage = data
        elif event.name == "done":
            nearest = data.get("nearest", [])
    out.print()
    _show_citations(citations, out)
    if nearest:
        out.print("\nClosest in the collection, which may not answer it:")
        _show_citations(nearest, out)
    _show_usage(usage, notes)
    return "".join(pieces)


def _show_citations(citations: list[dict[str, Any]], out: Console) -> None:
    for number, citation in enumerate(citations, 1):
        page = f", page {citation['page']}" if citation.get("page") else ""
        out.print(f"\n[{number}] {citation['document']}{page}, characters {citation['start']}-{citation['end']}")
        out.print("    " + " ".join(str(citation["quote"]).split()))


def _show_usage(usage: dict[str, Any], notes: Console) -> None:
    """On stderr, so that a redirected answer is the answer alone."""
    if not notes.is_terminal or not usage:
        return
    tokens = usage.get("usage") or usage
    told = [str(usage[name]) for name in ("provider", "model") if usage.get(name)]
    if tokens.get("total_tokens"):
        told.append(f"{tokens['input_tokens']} + {tokens['output_tokens']} tokens")
    if usage.get("cost_usd"):
        told.append(f"${usage['cost_usd']}")
    notes.print("[dim]" + " · ".join(told) + "[/dim]")
