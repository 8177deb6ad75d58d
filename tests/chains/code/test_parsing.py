"""Parsers run in real children here."""

import asyncio
from collections.abc import Iterator

import pytest

from chains.code import parsing
from chains.code.findings import from_parser
from core.child import close_children

#: Its grammar's scanner never comes back from this.
HANGS = ("a", "cobol")


@pytest.fixture(scope="module", autouse=True)
def _no_children_left() -> Iterator[None]:
    yield
    close_children()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "LONGEST_S", 1.0)


async def test_code_is_judged() -> None:
    assert await parsing.syntax("x = 1", "python") == parsing.Syntax(True)
    judged = await parsing.syntax("fn add( -> {", "rust")
    assert judged.valid is False
    assert judged.problems[0].line == 1


async def test_what_no_parser_knows_is_not_judged() -> None:
    judged = await parsing.syntax("whatever", "brainfuck")
    assert (judged.valid, judged.unknown, [one.message for one in judged.problems]) == (None, True, [parsing.UNKNOWN])


@pytest.mark.usefixtures("impatient")
async def test_a_parser_that_never_comes_back_says_so_and_holds_nothing_up() -> None:
    hanging = asyncio.create_task(parsing.syntax(*HANGS))
    assert (await parsing.syntax("x = 1", "python")).valid
    assert not hanging.done()
    judged = await hanging
    assert judged.valid is None
    assert "too long" in judged.problems[0].message
    assert (await parsing.syntax("x = 1", "python")).valid


@pytest.mark.usefixtures("impatient")
async def test_a_review_says_that_the_code_could_not_be_judged() -> None:
    [finding], valid = await from_parser(*HANGS)
    assert (valid, finding.severity, finding.source) == (None, "info", "parser")
    assert "too long" in finding.message


@pytest.mark.usefixtures("impatient")
async def test_everything_else_that_reads_code_gives_up_in_time_too() -> None:
    assert await parsing.outline(*HANGS) == []
    assert (await parsing.answer("a", "cobol")).code == "a"
    [(_, severity, message)] = await parsing.faults(*HANGS)
    assert (severity, "too long" in message) == ("info", True)


async def test_a_language_is_given_up_where_looking_for_it_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await parsing.detect("def add(a, b):\n    return a + b\n") == "python"
    monkeypatch.setattr(parsing, "LONGEST_S", 0.2)
    assert await parsing.detect("impl " * 40_000) is None


async def test_what_takes_too_much_memory_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "MEMORY_BYTES", 8 << 20)
    judged = await parsing.syntax("{a};" * 50_000, "javascript")
    assert judged.valid is None
    assert judged.problems[0].message


async def test_code_waits_for_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    from core.child import run_in_child

    files = [asyncio.create_task(run_in_child("time:sleep", 600, timeout_s=600)) for _ in range(8)]
    try:
        assert (await parsing.syntax("x = 1", "python")).valid
    finally:
        for each in files:
            each.cancel()
        await asyncio.gather(*files, return_exceptions=True)
