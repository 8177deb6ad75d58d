"""`genai ask`: a question to a collection, answered with citations."""

from typing import Annotated

import typer

from server.cli.answers import show_stream
from server.cli.client import platform_of


def ask(
    context: typer.Context,
    question: Annotated[list[str], typer.Argument(help="The question.")],
    collection: Annotated[str, typer.Option("--collection", "-c", help="Where to look for the answer.")] = "handbook",
    session: Annotated[str | None, typer.Option(help="Keep the conversation under this name.")] = None,
    model: Annotated[str | None, typer.Option(help="Alias of the model.")] = None,
) -> None:
    """Ask a collection. Without --collection the platform's own handbook answers."""
    body = {"question": " ".join(question), "collection": collection}
    body |= {name: value for name, value in {"session_id": session, "model": model}.items() if value}
    show_stream(platform_of(context).stream("/api/v1/rag", body))
