"""What of a kept conversation goes into a prompt: as much as is allowed, and as the prompt leaves room for."""

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from langchain_core.messages import BaseMessage

from chains.messages import Assistant, System, Tool, User, to_langchain
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


def trimmed(messages: Sequence[Any], *, budget_tokens: int, count: Counter, pinned: int = 0) -> list[Any]:
    """What of a history goes into a prompt: every system message, the last `pinned` of the others whatever they take, and the
    newest before them that `budget_tokens` hold beside.

    `count` gives the tokens of a text. The result begins, system messages apart, with a user's message, so that no answer
    stands without its question and no tool's result without its call, unless what is pinned has none. Blocks as `count` does.
    """
    system = [message for message in messages if isinstance(message, System)]
    others = _spoken(messages)
    kept = others[len(others) - pinned :]
    left = budget_tokens - count_messages(to_langchain([*system, *kept]), count)
    older: list[Any] = []
    for message in reversed(others[: len(others) - pinned]):
        left -= count_messages(to_langchain([message]), count)
        if left < 0:
            break
        older.insert(0, message)
    while older and not isinstance(older[0], User):
        older.pop(0)
    return [*system, *older, *kept]


def open_turn(history: Sequence[Any], said: Sequence[Any]) -> int:
    """How many of the history's last messages, system messages apart, are of the turn that is gone on with: all since its
    question, where results of tools are what comes now; none where a new turn begins."""
    if not isinstance(next((message for message in said if not isinstance(message, System)), None), Tool):
        return 0
    turn = list(takewhile(lambda message: not isinstance(message, User), reversed(_spoken(history))))
    return len(turn) + (len(turn) < len(_spoken(history)))


def without_open_calls(history: Sequence[Any], said: Sequence[Any]) -> list[Any]:
    """The history without calls of tools that were never answered, neither in it nor by what is said now: a caller may have
    gone on to something else, and providers refuse a call without its result."""
    messages = [*history, *said]
    kept: list[Any] = []
    for number, message in enumerate(history):
        if not isinstance(message, Assistant) or not message.tool_calls:
            kept.append(message)
            continue
        results = takewhile(lambda one: isinstance(one, (Tool, System)), messages[number + 1 :])
        answered = {one.tool_call_id for one in results if isinstance(one, Tool)}
        calls = [call for call in message.tool_calls if call.id in answered or (answered and not call.id)]
        if calls or message.text():
            kept.append(message if len(calls) == len(message.tool_calls) else message.model_copy(update={"tool_calls": calls}))
    return kept


def _spoken(messages: Sequence[Any]) -> list[Any]:
    return [message for message in messages if not isinstance(message, System)]
