"""What of a kept conversation goes into a prompt: as much as is allowed, and as the prompt leaves room for."""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from chains.messages import System, User, to_langchain
from providers.tokens import Counter, count_messages

#: The part of a model's window that is kept free for an answer whose length nobody bounded.
_ANSWER = 8


def room(prompt: Sequence[BaseMessage], *, most: int, window: int | None, answer: int | None, count: Counter) -> int:
    """Tokens for a history beside the rest of a prompt and an answer of `answer` tokens (None: not bounded): at most `most`,
    and half of the model's `window`, where that is known. Half of it is kept for the answer at most. Blocks as `count` does."""
    if window is None:
        return most
    free = window - count_messages(prompt, count) - min(answer or window // _ANSWER, window // 2)
    return max(0, min(most, window // 2, free))


def trimmed(messages: Sequence[Any], *, budget_tokens: int, count: Counter) -> list[Any]:
    """What of a history goes into a prompt: every system message, and the newest others that `budget_tokens` hold.

    `count` gives the tokens of a text. The result begins, system messages apart, with a user's message, so that no answer
    stands without its question and no tool's result without its call. Blocks as `count` does.
    """
    system = [message for message in messages if isinstance(message, System)]
    left = budget_tokens - count_messages(to_langchain(system), count)
    kept: list[Any] = []
    for message in reversed([message for message in messages if not isinstance(message, System)]):
        left -= count_messages(to_langchain([message]), count)
        if left < 0:
            break
        kept.insert(0, message)
    while kept and not isinstance(kept[0], User):
        kept.pop(0)
    return system + kept
