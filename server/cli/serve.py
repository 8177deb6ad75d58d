"""`genai serve`: start a platform in this process."""

import sys
from runpy import run_module

import typer


def serve(context: typer.Context) -> None:
    """Start a platform here. Options go to it as they are: `genai serve --help` lists its settings."""
    sys.argv = ["langserve_app.py", *context.args]
    run_module("langserve_app", run_name="__main__", alter_sys=True)
