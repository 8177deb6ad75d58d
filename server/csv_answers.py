"""Tables as CSV, for people who open them in a spreadsheet: RFC 4180, UTF-8, and nothing that a spreadsheet would run."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from starlette.responses import Response

MEDIA_TYPE = "text/csv"
#: What makes a spreadsheet take a text for a formula (OWASP, CSV injection, 2025); the last two hide such a beginning.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_answer(name: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Response:
    """The rows as a file to be saved under the name. What a row has beside the columns is left out."""
    headers = {"content-disposition": f'attachment; filename="{name}.csv"', "cache-control": "no-store"}
    return Response(csv_text(columns, rows), media_type=f"{MEDIA_TYPE}; charset=utf-8", headers=headers)


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """The same as a text, with a line of the columns' names."""
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow([cell(column) for column in columns])
    writer.writerows([cell(row.get(column)) for column in columns] for row in rows)
    return written.getvalue()


def cell(value: Any) -> str:
    """How a value stands in a cell: numbers in digits, all of them; nothing where there is none; a text that a spreadsheet
    would run begins with an apostrophe, which makes it a text there."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value.normalize():f}" if value else "0"
    if isinstance(value, float):
        return f"{Decimal(repr(value)):f}"  # never `1.5e-05`
    if isinstance(value, int):
        return str(value)
    text = str(value).replace("\0", "")
    return f"'{text}" if text.lstrip(" \n").startswith(_FORMULA) or text.startswith(_FORMULA) else text
