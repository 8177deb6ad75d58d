"""Which messages mean the same: by the bundled embedding model, and by what it does not see."""

import asyncio
import time
from collections.abc import Iterator

import numpy as np
import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from core.errors import Unavailable
from providers.likeness import CANDIDATES, KEY_BYTES, MAX_CHARACTERS, Likeness, comparable, likest, record
from providers.local_embeddings import MAX_TOKENS, LocalEmbeddings
from providers.wording import says_the_same


@pytest.fixture(scope="module")
def model() -> Iterator[LocalEmbeddings]:
    made = LocalEmbeddings()
    yield made
    made.close()


@pytest.fixture
def likeness(model: LocalEmbeddings) -> Likeness:
    return Likeness(lambda: model, MAX_TOKENS)


async def score(likeness: Likeness, one: str, other: str) -> float:
    first, second = await asyncio.gather(likeness.vector(one), likeness.vector(other))
    assert first
    assert second
    return float(np.frombuffer(first, np.float16).astype(np.float32) @ np.frombuffer(second, np.float16).astype(np.float32))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I reset my password?", "How can I reset my password?"),
        ("What is the refund policy?", "Can you tell me the refund policy?"),
        ("How do I install the app on Linux?", "How to install the app on Linux"),
    ],
)
async def test_paraphrases_are_alike_and_nothing_speaks_against_them(likeness: Likeness, one: str, other: str) -> None:
    assert await score(likeness, one, other) >= 0.95
    assert says_the_same(one, other)


async def test_a_message_that_the_model_would_not_read_to_its_end_is_not_compared(likeness: Likeness) -> None:
    assert await likeness.vector("word " * 300) is None
    assert await likeness.vector("x" * (MAX_CHARACTERS + 1)) is None


async def test_without_the_model_nothing_is_compared() -> None:
    def missing() -> LocalEmbeddings:
        raise Unavailable("It is not there.")

    assert await Likeness(missing, MAX_TOKENS).vector("Hello") is None


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (HumanMessage("Hello"), "Hello"),
        (HumanMessage("  "), None),
        (HumanMessage("Hello", name="Ann"), None),
        (HumanMessage([{"type": "text", "text": "Hello"}]), None),
        (AIMessage("Hello"), None),
    ],
)
def test_only_a_persons_plain_text_is_compared(message: BaseMessage, text: str | None) -> None:
    assert comparable(message) == text


def vector(*values: float) -> bytes:
    made = np.array([*values, *[0] * (4 - len(values))], np.float32)
    return (made / np.linalg.norm(made)).astype(np.float16).tobytes()


def key(number: int) -> bytes:
    return number.to_bytes(KEY_BYTES, "little")


def test_the_likest_come_first_and_none_below_the_threshold_or_past_its_time() -> None:
    now = time.time()
    records = b"".join(
        [
            record(key(1), now + 9, vector(1, 0.2)),
            record(key(2), now + 9, vector(1)),
            record(key(3), now - 1, vector(1)),
            record(key(4), now + 9, vector(0, 1)),
            record(key(5), now + 9, vector(1, 0.1)),
        ]
    )
    assert likest(records, vector(1), 0.9, now) == [key(2), key(5), key(1)]
    assert likest(records, vector(1), 0.99, now) == [key(2), key(5)]
    assert likest(b"", vector(1), 0.9, now) == []


def test_a_few_candidates_are_enough() -> None:
    records = b"".join(record(key(number), time.time() + 9, vector(1)) for number in range(10))
    assert len(likest(records, vector(1), 0.9, time.time())) == CANDIDATES
