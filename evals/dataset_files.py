"""Datasets as files: CSV and JSON lines become examples, and every row that cannot is told by its number."""

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from core.errors import InvalidRequest
from evals.base import Example

Format = Literal["jsonl", "csv"]
#: Characters of an example's identifier.
_ID = 200
#: Columns of a CSV that are no part of the input; `label.…` and `input.…` say what they belong to.
_OWN_COLUMNS = ("id", "expected", "context")


@dataclass(frozen=True, slots=True)
class DatasetLimits:
    """How much one dataset may be."""

    examples: int
    example_bytes: int


class ExampleRow(BaseModel):
    """One row of a dataset."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(
        "", max_length=_ID, pattern=r"^[^\x00-\x1f]*$", description="unique in the dataset; without one, the row's number"
    )
    input: dict[str, JsonValue] | str = Field(description="what the target is given; a text stands for `{text: …}`")
    expected: JsonValue = Field(None, description="what a right answer is held against")
    context: list[str] = Field(default_factory=list, description="passages or documents that are right")
    labels: dict[str, JsonValue] = Field(default_factory=dict, description="what else is known of it")

    @model_validator(mode="after")
    def _something(self) -> "ExampleRow":
        if not self.input:
            raise ValueError("the input is empty")
        return self

    def example(self, number: int) -> Example:
        given = {"text": self.input} if isinstance(self.input, str) else self.input
        return Example(self.id or str(number), given, self.expected, tuple(self.context), self.labels)


def read(content: str, form: Format, limits: DatasetLimits) -> list[Example]:
    """The examples of a file, in its order.

    Raises:
        InvalidRequest: `invalid_example` with the row (from 1; a CSV's header is not counted) in `param` and in the message,
            `duplicate_example`, `too_many_examples`, `example_too_large`, `dataset_empty`, or `invalid_csv`.
    """
    return collected(_csv_rows(content) if form == "csv" else _json_lines(content), limits)


def collected(rows: Iterable[tuple[int, Any]], limits: DatasetLimits) -> list[Example]:
    """Rows, each with its number, as examples. Raises as `read`."""
    examples: list[Example] = []
    known: dict[str, int] = {}
    for number, row in rows:
        if len(examples) >= limits.examples:
            raise InvalidRequest(f"A dataset holds {limits.examples} examples at most.", code="too_many_examples")
        example = _example(number, row)
        if len(plain(example)) > limits.example_bytes:
            raise _bad(number, f"it has more than {limits.example_bytes} bytes", code="example_too_large")
        if (before := known.setdefault(example.id, number)) != number:
            raise _bad(number, f"row {before} has the same id", code="duplicate_example")
        examples.append(example)
    if not examples:
        raise InvalidRequest("The dataset has no example in it.", code="dataset_empty")
    return examples


def plain(example: Example) -> bytes:
    """An example as canonical JSON: the same content gives the same bytes."""
    told = {
        "id": example.id,
        "input": example.input,
        "expected": example.expected,
        "context": list(example.context),
        "labels": example.labels,
    }
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS)


def restored(content: bytes) -> Example:
    """The example that `plain` gave these bytes for."""
    told = orjson.loads(content)
    return Example(told["id"], told["input"], told["expected"], tuple(told["context"]), told["labels"])


def digest_of(examples: Sequence[Example]) -> str:
    """SHA-256, in hex, over all examples in their order."""
    hashed = hashlib.sha256()
    for example in examples:
        hashed.update(plain(example) + b"\n")
    return hashed.hexdigest()


def as_jsonl(example: Example) -> bytes:
    """A line that `read` takes."""
    return plain(example) + b"\n"


def _json_lines(content: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(content.removeprefix("\ufeff").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield number, orjson.loads(line)
        except orjson.JSONDecodeError:
            raise _bad(number, "it is no JSON") from None


def _csv_rows(content: str) -> Iterator[tuple[int, Any]]:
    reader = csv.reader(io.StringIO(content.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        header = next(reader, None)
        if header is None:
            return
        columns = [name.strip() for name in header]
        if len(set(columns)) != len(columns) or not all(columns):
            raise InvalidRequest("Each column of the CSV needs a name of its own.", code="invalid_csv", param="header")
        for number, cells in enumerate(reader, start=1):
            if not cells:
                continue
            if len(cells) != len(columns):
                raise _bad(number, f"it has {len(cells)} cells, and the header {len(columns)}")
            yield number, _of_cells(dict(zip(columns, cells, strict=True)))
    except csv.Error:
        raise _bad(reader.line_num, "its quotes do not match, or a cell is too long") from None


def _of_cells(cells: Mapping[str, str]) -> dict[str, Any]:
    labels = {name.removeprefix("label."): value for name, value in cells.items() if name.startswith("label.") and value}
    given = {
        name.removeprefix("input."): value
        for name, value in cells.items()
        if name not in _OWN_COLUMNS and not name.startswith("label.")
    }
    row: dict[str, Any] = {"input": given, "labels": labels, "id": cells.get("id", "")}
    if cells.get("expected"):
        row["expected"] = cells["expected"]
    if cells.get("context"):
        row["context"] = [cells["context"]]
    return row


def _example(number: int, row: Any) -> Example:
    try:
        return ExampleRow.model_validate(row).example(number)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"] if part not in ("str", "dict[str,any]"))
        raise _bad(number, f"{where}: {first['msg']}" if where else first["msg"]) from None


def _bad(number: int, what: str, *, code: str = "invalid_example") -> InvalidRequest:
    return InvalidRequest(f"Row {number} is no example: {what}.", code=code, param=f"row {number}")
