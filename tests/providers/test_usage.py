"""What providers say that a call used, told apart from what cannot be true, and added up."""

from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from providers.usage import MOST_TOKENS, Running, Tally, plausible, readable


def used(given: Any, made: Any, **details: Any) -> dict[str, Any]:
    return {"input_tokens": given, "output_tokens": made, "total_tokens": 0, **details}


#: No call uses these.
UNLIKELY: dict[str, Any] = {
    "negative": (-1_000_000, -5),
    "one negative": (12, -5),
    "text": ("12", "5"),
    "a fraction": (1.5, 5),
    "a truth": (True, 5),
    "nothing": (None, None),
    "a list": ([12], 5),
    "more than there is": (MOST_TOKENS + 1, 5),
    "no number of tokens at all": (0, 0),
}


@pytest.mark.parametrize("counts", UNLIKELY.values(), ids=UNLIKELY)
def test_what_no_call_can_use_was_not_told(counts: tuple[Any, Any]) -> None:
    assert plausible(used(*counts)) is None


@pytest.mark.parametrize("metadata", [None, "many", [12, 5], {}, {"input_tokens": 12}], ids=repr)
def test_what_is_no_usage_was_not_told(metadata: Any) -> None:
    assert plausible(metadata) is None


def test_the_total_is_the_sum() -> None:
    assert plausible(used(12, 5)) == used(12, 5) | {"total_tokens": 17}


@pytest.mark.parametrize(
    "details",
    [
        {"input_token_details": {"cache_read": 13}},
        {"input_token_details": {"cache_read": 8, "cache_creation": 8}},
        {"input_token_details": {"cache_read": -3}},
        {"input_token_details": {"cache_read": "3"}},
        {"input_token_details": 3},
        {"output_token_details": {"reasoning": 6}},
    ],
    ids=repr,
)
def test_details_that_cannot_be_a_part_are_left_out(details: dict[str, Any]) -> None:
    assert plausible(used(12, 5, **details)) == used(12, 5) | {"total_tokens": 17}


def test_details_that_are_a_part_are_kept() -> None:
    details = {
        "input_token_details": {"cache_read": 8, "cache_creation": 4, "audio": 12},
        "output_token_details": {"reasoning": 5},
    }
    assert plausible(used(12, 5, **details)) == used(12, 5, **details) | {"total_tokens": 17}


def test_chunks_add_up() -> None:
    tally = Tally()
    for counts in ((12, 0), (0, 3), (0, 2)):
        assert tally.add(used(*counts)) is not None
    assert tally.told == used(12, 5) | {"total_tokens": 17}


def test_one_chunk_that_cannot_be_true_discredits_all() -> None:
    tally = Tally()
    assert [tally.add(used(*counts)) is not None for counts in ((12, 0), (-12, 5), (0, 5))] == [True, False, False]
    assert tally.told is None


def test_of_an_answer_that_broke_off_the_output_is_counted_where_only_its_input_was_told() -> None:
    tally = Tally()
    assert tally.broken_off(4) is None
    tally.add(used(12, 0))
    assert tally.broken_off(4) == used(12, 4) | {"total_tokens": 16}
    tally.add(used(0, 3))
    assert tally.broken_off(4) == used(12, 3) | {"total_tokens": 15}


@pytest.mark.parametrize(
    "told",
    [
        [(12, 1), (12, 2), (12, 5)],
        [(12, 5), (12, 5), (12, 5)],
        [(12, 0), (0, 0), (0, 3), (0, 5)],
        [(12, 1), (12, 5), (0, 5)],
        [(0, 0), (12, 5)],
    ],
    ids=repr,
)
def test_what_is_told_again_and_again_adds_up_to_the_last(told: list[tuple[int, int]]) -> None:
    running, tally = Running(), Tally()
    chunks = [ChatGenerationChunk(message=AIMessageChunk(content="", usage_metadata=used(*each))) for each in told]  # type: ignore[arg-type]
    for chunk in map(running.of, chunks):
        message: Any = chunk.message
        if message.usage_metadata:
            tally.add(message.usage_metadata)
    assert tally.told == used(12, 5) | {"total_tokens": 17}


def test_details_may_come_after_what_they_detail() -> None:
    running, tally = Running(), Tally()
    for told in (used(12, 5), used(12, 5, input_token_details={"cache_read": 8})):
        tally.add(running.since(told))
    assert tally.told == used(12, 5, input_token_details={"cache_read": 8}) | {"total_tokens": 17}


@pytest.mark.parametrize(
    ("usage", "kept"),
    [
        ("many", None),
        ([1, 2], None),
        ({"prompt_tokens": "12"}, None),
        ({"completion_tokens": -1}, None),
        ({"prompt_tokens": 12, "completion_tokens": None}, {"prompt_tokens": 12, "completion_tokens": None}),
        ({"prompt_tokens": 12, "total_tokens": "x"}, {"prompt_tokens": 12, "total_tokens": None}),
        ({"prompt_tokens_details": {"cached_tokens": "x"}}, {"prompt_tokens_details": None}),
        ({"completion_tokens_details": 3}, {"completion_tokens_details": None}),
    ],
    ids=repr,
)
def test_of_openais_usage_what_langchain_can_read_is_kept(usage: Any, kept: Any) -> None:
    assert readable(usage) == kept
