"""Which messages ask for the same: what may differ between them, and that nothing else may."""

import pytest

from providers.wording import says_the_same
from tests.providers.alike_pairs import HELD_OUT_OTHER, HELD_OUT_SAME, IN_OTHER_WORDS, SEEN_OTHER, SEEN_SAME


@pytest.mark.parametrize(("one", "other"), SEEN_SAME)
def test_what_differs_in_its_manner_alone_says_the_same(one: str, other: str) -> None:
    assert says_the_same(one, other)
    assert says_the_same(other, one)


@pytest.mark.parametrize(("one", "other"), [*SEEN_OTHER, *HELD_OUT_OTHER])
def test_what_asks_for_something_else_does_not(one: str, other: str) -> None:
    assert not says_the_same(one, other)
    assert not says_the_same(other, one)


def test_most_of_the_pairs_that_were_held_out_are_found_the_same() -> None:
    found = [pair for pair in HELD_OUT_SAME if says_the_same(*pair)]
    assert len(found) >= len(HELD_OUT_SAME) * 2 // 3


@pytest.mark.parametrize(("one", "other"), IN_OTHER_WORDS)
def test_other_words_are_left_to_the_provider_even_where_a_person_would_take_them_for_the_same(one: str, other: str) -> None:
    assert not says_the_same(one, other)


SENTENCE = "Please write to Anna that the 3 old boxes on her desk are not for Bob , but for me"


@pytest.mark.parametrize("place", range(1, len(SENTENCE.split())))
@pytest.mark.parametrize("word", ["Carl", "4", "never", "small", "un-done", "'x'"])
def test_no_word_may_be_another_or_be_missing(place: int, word: str) -> None:
    words = SENTENCE.split()
    replaced = " ".join([*words[:place], word, *words[place + 1 :]])
    left_out = " ".join([*words[:place], *words[place + 1 :]])
    assert not says_the_same(SENTENCE, replaced)
    assert not says_the_same(SENTENCE, left_out)


@pytest.mark.parametrize("place", range(1, len(SENTENCE.split()) - 1))
def test_no_two_words_may_change_their_places(place: int) -> None:
    words = SENTENCE.split()
    words[place], words[place + 1] = words[place + 1], words[place]
    assert not says_the_same(SENTENCE, " ".join(words))


@pytest.mark.parametrize(
    "text", ["", " ", "?", "please", "Can you please", "how do I", "In Python ,", "Tell me the", "Hi,", "thanks."]
)
def test_the_oddest_message_says_what_it_says(text: str) -> None:
    assert says_the_same(text, text)
    assert not says_the_same(text, "What is a lease?")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Is it safe to take aspirin?", "Is it not safe to take aspirin?"),
        ("Is it safe?", "Isn't it safe?"),
        ("Did Anna pay Bob?", "Did Bob pay Anna?"),
        ("Convert 100 USD to EUR", "Convert 100 EUR to USD"),
        ("list the files before monday", "list the files after monday"),
        ("What does the error E1001 mean?", "What does the error E1002 mean?"),
        ("What is 2+2?", "What is 2-2?"),
        ("Who made C++?", "Who made C#?"),
        ("Delete all users older than a year", "Delete all users younger than a year"),
        ("Turn the light on", "Turn the light off"),
    ],
)
def test_what_vectors_take_for_the_same_and_is_not(one: str, other: str) -> None:
    assert not says_the_same(one, other)
    assert not says_the_same(other, one)
