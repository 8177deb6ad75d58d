"""A span for each statement that a request or a job has the database run: its verb and its table, never its text or values."""

import re
from functools import lru_cache
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

from core.traces import seam

_VERB = re.compile(r"\s*([A-Za-z]+)")
_TABLE = re.compile(r'\b(?:FROM|INTO|UPDATE)\s+"?([A-Za-z_]\w*)', re.IGNORECASE)


def watch(engine: Engine) -> None:
    """Have an engine's statements recorded, where anything is: without tracing it stays as it is."""
    if not seam.are_on():
        return
    event.listen(engine, "before_cursor_execute", _begun)
    event.listen(engine, "after_cursor_execute", _ended)
    event.listen(engine, "handle_error", _failed)


def _begun(connection: Any, _cursor: Any, statement: str, _parameters: Any, execution: Any, _many: bool) -> None:
    verb, table = _about(statement)
    attributes = {"db.system.name": connection.dialect.name, "db.operation.name": verb}
    if table:
        attributes["db.collection.name"] = table
    span = seam.begin(f"{verb} {table}".strip(), attributes, kind=seam.Kind.CLIENT)
    if span is not None:
        execution.genai_span = span


def _ended(_connection: Any, _cursor: Any, _statement: str, _parameters: Any, execution: Any, _many: bool) -> None:
    seam.end(getattr(execution, "genai_span", None))


def _failed(failure: ExceptionContext) -> None:
    if failure.execution_context is not None:
        error = failure.original_exception
        seam.end(getattr(failure.execution_context, "genai_span", None), error if isinstance(error, BaseException) else None)


@lru_cache(maxsize=2048)
def _about(statement: str) -> tuple[str, str]:
    verb = _VERB.match(statement)
    table = _TABLE.search(statement)
    return (verb[1].upper() if verb else "SQL"), (table[1] if table else "")
