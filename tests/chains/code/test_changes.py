import pytest

from chains.code.changes import Change, changes, places_blocks, told


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        ("a\nb\nc", "a\nb\nc\n", "Nothing was changed."),
        ("a\nb  \nc", "a\nb\nc", "Nothing was changed."),
        ("a\nb\nc", "a\n  B\nc", "Line 2, `b`, is now `B`."),
        ("a\nb\nc", "a\n    b\nc", "Line 2, `b`, is indented by 4 now, in place of 0."),
        ("a\nb\nc", "a\n  b\n  c", "Lines 2 to 3 are indented by 2 now, in place of 0."),
        ("\n\na\nb", "a\nB", "Line 4, `b`, is now `B`."),
        ("a\nc", "a\nb\nc", "Behind line 1, `b` is new."),
        ("c", "a\nb\nc", "Before the first line, 2 lines are new."),
        ("a\nb\nc", "a\nc", "Line 2, `b`, is gone."),
        ("a\n\nc", "a\nc", "Line 2, an empty line, is gone."),
        ("a\nb\nc\nd", "a\nd", "Lines 2 to 3 are gone."),
        ("a\nb\nc\nd", "a\nx\nd", "Lines 2 to 3 are now one line."),
        ("a", "x\ny", "Line 1, `a`, is now 2 lines."),
        (
            "a\n1\nb\n2\nc\n3\nd\n4",
            "a\nb\nc\nd",
            "Line 2, `1`, is gone. Line 4, `2`, is gone. Line 6, `3`, is gone. 1 more change.",
        ),
        ("a" * 90, "b", f"Line 1, `{'a' * 80}…`, is now `b`."),
    ],
)
def test_changes_are_told_by_their_lines(source: str, code: str, words: str) -> None:
    found = changes(source, code)
    assert found is not None
    assert told(found) == words


def test_changes_lead_from_one_text_to_the_other() -> None:
    source, code = "a\nb\nc\nd\ne", "0\na\nB\nc\ne\nf"
    lines = source.splitlines()
    for change in reversed(changes(source, code) or []):
        first = change.line - bool(change.before)
        assert lines[first : first + len(change.before)] == change.before
        lines[first : first + len(change.before)] = change.after
    assert lines == code.splitlines()


def test_code_of_very_many_lines_is_not_compared() -> None:
    assert changes("x\n" * 1001, "x") is None
    assert changes("", "x") == [Change(line=0, before=[], after=["x"])]


@pytest.mark.parametrize(
    ("source", "code", "places"),
    [
        ("a\nb\nc", "a\n    b\nc", True),
        ("a\nb", "a\n  }\nb", True),
        ("a\nb", "a\nb\nend", True),
        ("a\nb", "a\nB", False),
        ("a\nb", "a\nx = 1\nb", False),
    ],
)
def test_a_change_may_say_where_a_block_ends(source: str, code: str, places: bool) -> None:
    assert places_blocks(changes(source, code) or []) is places
