"""Files that become datasets, and the rows that do not."""

import pytest

from core.errors import InvalidRequest
from evals.base import Example
from evals.dataset_files import DatasetLimits, as_jsonl, digest_of, read

LIMITS = DatasetLimits(examples=3, example_bytes=300)


def test_a_text_is_an_input_and_what_is_written_is_read_again() -> None:
    first, second = read(
        '\ufeff{"input": "Hi", "expected": "Ho"}\n\n{"id": "b", "input": {"q": 1}, "labels": {"x": [1]}}', "jsonl", LIMITS
    )
    assert (first, second.id, second.input) == (Example("1", {"text": "Hi"}, "Ho"), "b", {"q": 1})
    again = read((as_jsonl(first) + as_jsonl(second)).decode(), "jsonl", LIMITS)
    assert again == [first, second]
    assert digest_of(again) == digest_of([first, second]) != digest_of([second, first])


def test_columns_of_a_csv_are_fields_of_the_input_but_for_those_that_have_a_meaning() -> None:
    (row,) = read('\ufeffid,question,expected,label.topic,context\nx,"a, ""b""\nc",yes,maths,page 1\n', "csv", LIMITS)
    assert row == Example("x", {"question": 'a, "b"\nc'}, "yes", ("page 1",), {"topic": "maths"})


@pytest.mark.parametrize(
    ("form", "content", "code", "where"),
    [
        ("jsonl", '{"input": "a"}\n{"input": ', "invalid_example", "row 2"),
        ("jsonl", '{"input": "a"}\n{"inptu": "b"}', "invalid_example", "row 2"),
        ("jsonl", '{"input": ""}', "invalid_example", "row 1"),
        ("jsonl", "[1]", "invalid_example", "row 1"),
        ("jsonl", r'{"id": "a\u0000", "input": "a"}', "invalid_example", "row 1"),
        ("jsonl", '{"id": "1", "input": "a"}\n{"id": "1", "input": "b"}', "duplicate_example", "row 2"),
        ("jsonl", '{"input": "a"}\n' * 4, "too_many_examples", None),
        ("jsonl", '{"input": "' + "a" * 300 + '"}', "example_too_large", "row 1"),
        ("jsonl", "\n", "dataset_empty", None),
        ("csv", "", "dataset_empty", None),
        ("csv", "a,a\n1,2", "invalid_csv", "header"),
        ("csv", "a,b\n1,2\n1", "invalid_example", "row 2"),
        ("csv", 'a\n"1', "invalid_example", "row 2"),
    ],
    ids=[
        "no-json",
        "unknown",
        "empty",
        "list",
        "control",
        "twice",
        "many",
        "large",
        "nothing",
        "no-header",
        "columns",
        "cells",
        "quotes",
    ],
)
def test_a_row_that_is_no_example_is_told_by_its_number(form: str, content: str, code: str, where: str | None) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(content, form, LIMITS)  # type: ignore[arg-type]
    assert (refused.value.code, refused.value.param) == (code, where)
