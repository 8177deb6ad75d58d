"""Places that lines go to: nobody who writes waits for who reads."""

import io
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from core.logs.outlets import Outlet
from infra.running import wait_until

Told = list[tuple[str, dict[str, Any]]]
Pipe = tuple[Outlet, int, Told]
#: More than a pipe holds (64 KiB).
LINES = [f"{number} {'x' * 990}" for number in range(200)]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """An outlet into a pipe, the pipe's other end, and the changes that are told."""
    reading, writing = os.pipe()
    told: Told = []
    with os.fdopen(writing, "w") as stream:
        outlet = Outlet("stdout", stream, lambda event, fields: told.append((event, fields)), most_waiting=150_000)
        yield outlet, reading, told
        outlet.close(0)


def read(descriptor: int, lines: int) -> list[str]:
    data = b""
    while data.count(b"\n") < lines:
        data += os.read(descriptor, 65_536)
    return data.decode().splitlines()


def test_lines_are_there_as_soon_as_they_are_written(pipe: Pipe) -> None:
    outlet, reading, told = pipe
    outlet.write("one")
    outlet.write("t\ud800o")
    assert read(reading, 2) == ["one", "t\\ud800o"]
    assert told == []


def test_a_reader_who_stands_still_keeps_no_writer_waiting_and_gets_all_in_order(pipe: Pipe) -> None:
    outlet, reading, told = pipe
    for line in LINES:
        outlet.write(line)
    wait_until(lambda: told, within_s=90, what="log.blocked")
    assert [event for event, _ in told] == ["log.blocked"]
    assert read(reading, len(LINES)) == LINES
    wait_until(lambda: len(told) == 2, within_s=90, what="log.resumed")
    assert told[1] == ("log.resumed", {"to": "stdout", "lost": 0})
    outlet.write("after")
    assert read(reading, 1) == ["after"]


def test_what_nobody_reads_is_bounded_and_what_is_lost_is_counted(pipe: Pipe) -> None:
    outlet, reading, told = pipe
    for line in LINES * 3:
        outlet.write(line)
    got: list[str] = []

    def read_all() -> None:
        while got[-1:] != ["end"]:
            got.append(source.readline().rstrip("\n"))

    source = os.fdopen(reading)
    reader = threading.Thread(target=read_all)
    reader.start()
    wait_until(lambda: "log.resumed" in [event for event, _ in told], within_s=90, what="log.resumed")
    lost = told[-1][1]["lost"]
    outlet.write("end")
    reader.join(10)
    source.close()
    whole = [line for line in got if line in LINES]
    assert 0 < lost < len(LINES) * 3
    assert len(whole) + lost == len(LINES) * 3
    assert whole == (LINES * 3)[: len(whole)]


def test_a_reader_who_has_gone_is_told_once(pipe: Pipe) -> None:
    outlet, reading, told = pipe
    os.close(reading)
    for _ in range(3):
        outlet.write("to nobody")
    assert [event for event, _ in told] == ["log.broken"]


def test_what_is_no_file_is_written_to_as_it_is() -> None:
    printed, told = io.StringIO(), []
    outlet = Outlet("stdout", printed, lambda event, _: told.append(event))
    outlet.write("one")
    assert printed.getvalue() == "one\n"
    printed.close()
    outlet.write("two")
    assert told == ["log.broken"]


def changes() -> tuple[Told, Callable[[str, dict[str, Any]], None]]:
    told: Told = []
    return told, lambda event, fields: told.append((event, fields))


def test_a_file_gets_whole_lines(tmp_path: Any) -> None:
    told, changed = changes()
    with (tmp_path / "log").open("w") as stream:
        outlet = Outlet("stdout", stream, changed)
        for line in LINES:
            outlet.write(line)
    assert (tmp_path / "log").read_text().splitlines() == LINES
    assert told == []
