"""The seam between what was sent of a cut stream and what another deployment makes of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.continuation import Riddle, Seam
from providers.failures import StreamCut

WORDS = st.lists(st.sampled_from(["no", "Oslo", "and", "snow,", "3", "\n", " ", "🌨", "a", "0,"]), min_size=1, max_size=40)


def joined(sent: str, continuation: str, size: int) -> str | None:
    """What a caller has in the end; None where the two cannot be joined for certain."""
    seam = Seam(sent)
    try:
        pieces = [seam.feed(continuation[at : at + size]) for at in range(0, len(continuation), size)]
    except StreamCut:
        return None
    return sent + "".join(pieces) + seam.end()


@settings(max_examples=400, deadline=None)
@given(words=WORDS, at=st.integers(0, 200), size=st.integers(1, 9))
def test_a_true_continuation_of_words_is_whole_or_refused(words: list[str], at: int, size: int) -> None:
    whole = " ".join(words)
    sent = whole[: at % (len(whole) + 1)]
    if not sent.strip():
        return
    result = joined(sent, whole[len(sent.rstrip()) :], size)
    if result is not None and len(sent.rstrip()) < 16:
        assert result == whole


@settings(max_examples=200, deadline=None)
@given(words=WORDS, at=st.integers(0, 200), size=st.integers(1, 9))
def test_an_answer_from_the_beginning_stands_once(words: list[str], at: int, size: int) -> None:
    whole = " ".join(words)
    sent = whole[: at % (len(whole) + 1)]
    if not sent.strip():
        return
    assert joined(sent, whole, size) in (whole, None)


@pytest.mark.parametrize(
    ("sent", "continuation", "whole"),
    [
        ("It is ", " cold.", "It is cold."),
        ("It is ", "cold.", "It is cold."),
        ("It is\n\n", "\n\ncold.", "It is\n\ncold."),
        ("It is", " is it?", "It is is it?"),
        ("It is cold in Oslo, and", "It is cold in Oslo, and dark.", "It is cold in Oslo, and dark."),
        ("It is cold. In Oslo it is dark", "In Oslo it is dark and wet.", "It is cold. In Oslo it is dark and wet."),
        ("It is cold in Oslo, and", "\n It is cold in Oslo, and dark.", "It is cold in Oslo, and dark."),
        ("\nIt is cold in Oslo, and", "\nIt is cold in Oslo, and dark.", "\nIt is cold in Oslo, and dark."),
        ("It is cold in Oslo", "It is cold", "It is cold in OsloIt is cold"),
        ("no", "no", None),
        ("0, 0, 0, 0, 0, 0, 0, 0,", "0, 0, 0, 0, 0, 0, 0, 0, 0", None),
    ],
)
def test_repetitions_are_told_from_continuations(sent: str, continuation: str, whole: str | None) -> None:
    assert {joined(sent, continuation, size) for size in (1, 3, 100)} == {whole}


LONG = "The capital of France is Paris, which lies on the Seine. It has two million"


@pytest.mark.parametrize(
    ("sent", "continuation", "whole"),
    [
        # anew, in other words after the first ones, with other marks, or after a few words
        (LONG, "The capital of France is the city of Paris.", None),
        (LONG, "**The capital of France is Paris** and nothing else.", None),
        (LONG, "The capital of France is Paris.", None),
        (LONG, "Sure! The capital of France is Paris, which lies on the Seine. It has 2 million people.", None),
        ("Hello there, how are you? ", "Hello there, how are you doing?", None),
        # what an answer may well say again
        (LONG, " people. The capital of Italy is Rome.", LONG + " people. The capital of Italy is Rome."),
        (LONG, " people. The capital of France is old.", LONG + " people. The capital of France is old."),
        ("- A blue whale\n", "- A blue shark\n- An eel", "- A blue whale\n- A blue shark\n- An eel"),
        ("SELECT a FROM users WHERE id = 1;\n", "SELECT a FROM users WHERE id = 2;", ...),
        ("def test_a_b() -> None:\n    assert a\n\n\n", "def test_a_b_c() -> None:\n    assert b", ...),
        ("On a dark and stormy night we sat. On a dark and", " stormy night we sat.", ...),
        ("row(1, 'a blue whale')\nrow(2, 'b')\nrow(", "1, 'a blue whale')", ...),
    ],
)
def test_an_answer_anew_is_told_from_what_an_answer_may_say_again(sent: str, continuation: str, whole: object) -> None:
    expected = sent + continuation if whole is ... else whole
    assert {joined(sent, continuation, size) for size in (1, 3, 100)} == {expected}


@pytest.mark.parametrize(
    ("sent", "missing"), [("The quick brown ", True), ("One, ", True), ("It is so.", False), ("「はい」", False)]
)
def test_a_continuation_of_nothing_is_one_where_the_text_may_end(sent: str, missing: bool) -> None:
    seam = Seam(sent)
    assert seam.feed("") + seam.end() == ""
    assert seam.missing is missing


def test_a_continuation_that_only_repeats_adds_nothing() -> None:
    seam = Seam("The quick brown fox jumps over ")
    assert seam.feed("brown fox jumps over") + seam.end() == ""
    assert seam.missing
    assert seam.feed(" the dog") == "the dog"
    assert not seam.missing


@pytest.mark.parametrize(
    ("continuation", "whole"),
    [
        ("It is cold in Oslo, and dark.", "It is cold in Oslo, and dark."),
        ("\nIt is cold in Oslo, and dark.", "It is cold in Oslo, and dark."),
        ("Sure! It is cold in Oslo, and dark.", None),
        ("cold in Oslo, and dark.", None),
        (" dark.", None),
        ("It is cold", None),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_of_one_that_is_not_trusted_a_whole_repetition_alone_is_joined(continuation: str, whole: str | None, size: int) -> None:
    sent = "It is cold in Oslo, and"
    seam = Seam(sent, trusted=False)
    pieces = [continuation[at : at + size] for at in range(0, len(continuation), size)]
    if whole is None:
        with pytest.raises(StreamCut):
            "".join([*map(seam.feed, pieces), seam.end()])
    else:
        assert sent + "".join(map(seam.feed, pieces)) + seam.end() == whole


def test_a_riddle_is_solved_by_the_rest_alone() -> None:
    riddle = Riddle()
    asked, begun = riddle.messages
    first, rest = begun.text.split(), riddle.words[len(begun.text.split()) :]
    assert asked.text.endswith(" ".join(first + rest))
    assert riddle.solved(" " + " ".join(rest))
    assert riddle.solved(", ".join(rest).title() + ".")
    for wrong in ("", " ".join(first + rest), "Sure! " + " ".join(rest), " ".join(rest[1:])):
        assert not riddle.solved(wrong)
