"""Lines of a stream: where they end, and how long they may be."""

import pytest

from providers import wire
from providers.wire import Lines, TooMuch


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_lines_end_in_any_of_three_ways_wherever_blocks_do(ending: bytes, size: int) -> None:
    raw = ending.join([b"data: 1", b"", b"data: 2", b"", b"rest"])
    lines = Lines()
    found = [line for at in range(0, len(raw), size) for line in lines.of(raw[at : at + size]) if line]
    assert (found, lines.rest()) == ([b"data: 1", b"data: 2"], b"rest")


def test_a_line_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "LINE_BYTES", 100)
    lines = Lines()
    for _ in range(40):
        assert lines.of(b"data: 1234\n") == [b"data: 1234"], "lines that end may be many"
    for _ in range(10):
        lines.of(b"x" * 10)
    with pytest.raises(TooMuch):
        lines.of(b"x")
