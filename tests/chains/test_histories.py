from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from chains.histories import open_turn, room, trimmed, without_open_calls
from chains.messages import Assistant, System, Tool, ToolCall, User


def words(text: str) -> int:
    return len(text.split())


def test_a_history_is_trimmed_to_its_newest_turns_and_keeps_the_system_message() -> None:
    turns = [message for number in range(10) for message in (User(content=f"q {number}"), Assistant(content=f"a {number}"))]
    kept = trimmed([System(content="be kind"), *turns], budget_tokens=30, count=words)
    assert [message.content for message in kept] == ["be kind", "q 8", "a 8", "q 9", "a 9"]


def test_no_tool_result_is_kept_without_its_call() -> None:
    messages = [
        User(content="one two three four five six"),
        Assistant(content="calls"),
        Tool(content="result", tool_call_id="1"),
        Assistant(content="says"),
        User(content="next"),
    ]
    assert trimmed(messages, budget_tokens=21, count=words) == [User(content="next")]


def test_what_a_call_says_counts_as_well() -> None:
    call = ToolCall(id="1", name="look", args={"for": " ".join(["word"] * 50)})
    messages = [
        User(content="old"),
        Assistant(tool_calls=[call]),
        Tool(content="found", tool_call_id="1"),
        User(content="next"),
    ]
    assert trimmed(messages, budget_tokens=40, count=words) == [User(content="next")]


CALLS = [ToolCall(id="1", name="look", args={"for": "it"}), ToolCall(id="2", name="look", args={"for": "that"})]
TURN = [User(content=" ".join(["long"] * 60)), Assistant(tool_calls=CALLS)]
RESULTS = [Tool(content="found", tool_call_id="1"), Tool(content="found", tool_call_id="2")]


def test_the_turn_that_results_of_tools_go_on_with_is_kept_whatever_it_takes() -> None:
    history = [System(content="be kind"), User(content="old"), Assistant(content="older"), *TURN]
    assert open_turn(history, RESULTS) == 2
    assert trimmed(history, budget_tokens=30, count=words, pinned=2) == [System(content="be kind"), *TURN]
    further = [*TURN, *RESULTS, Assistant(tool_calls=[ToolCall(id="3", name="look", args={})])]
    assert open_turn(further, [System(content="now"), Tool(content="found", tool_call_id="3")]) == 5
    assert trimmed(further, budget_tokens=0, count=words, pinned=5) == further


def test_what_is_older_fills_what_the_turn_leaves() -> None:
    history = [User(content="oldest " * 50), Assistant(content="a"), User(content="old"), Assistant(content="b"), *TURN]
    assert trimmed(history, budget_tokens=110, count=words, pinned=2) == history[2:]


@pytest.mark.parametrize("said", [[User(content="never mind")], [System(content="now"), User(content="else")], []])
def test_a_new_turn_goes_on_with_none(said: list[Any]) -> None:
    assert open_turn(TURN, said) == 0


def test_calls_that_nobody_answered_are_left_out() -> None:
    other = [User(content="never mind")]
    assert without_open_calls(TURN, RESULTS) == TURN
    assert without_open_calls(TURN, other) == TURN[:1]
    assert without_open_calls(TURN, [RESULTS[1], *other]) == [TURN[0], Assistant(tool_calls=CALLS[1:])]
    said = Assistant(content="I look.", tool_calls=CALLS)
    assert without_open_calls([TURN[0], said], other) == [TURN[0], Assistant(content="I look.")]
    assert without_open_calls([*TURN, *RESULTS, *other], other) == [*TURN, *RESULTS, *other]


@pytest.mark.parametrize(
    ("said", "answer", "tokens"),
    [(10, None, 50), (60, None, 24), (10, 40, 46), (60, 90, 0), (10, 1_000_000, 36), (200, None, 0)],
)
def test_a_history_takes_what_the_prompt_and_the_answer_leave(said: int, answer: int | None, tokens: int) -> None:
    prompt = [HumanMessage(" ".join(["word"] * said))]
    assert room(prompt, most=1000, window=100, answer=answer, count=words) == tokens


def test_without_a_known_window_the_setting_alone_bounds_a_history() -> None:
    assert room([HumanMessage("word " * 5000)], most=1000, window=None, answer=None, count=words) == 1000
