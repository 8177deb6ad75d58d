"""Tables on the terminal, and for programs that read them."""

import sys

from rich.console import Console
from rich.table import Table

#: Columns for a pipe or a file, where nothing has to fit a window.
_WIDE = 200


def table(identifier: str, *columns: str) -> Table:
    """Without lines between; `identifier`, which other commands ask for, is never cut."""
    made = Table(box=None)
    made.add_column(identifier, no_wrap=True, overflow="ignore", min_width=20)
    for column in columns:
        made.add_column(column)
    return made


def show(made: Table) -> None:
    """Print it, as wide as it needs where there is no terminal."""
    Console(width=None if sys.stdout.isatty() else _WIDE).print(made)
