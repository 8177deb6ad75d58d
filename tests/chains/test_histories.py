import pytest
from langchain_core.messages import HumanMessage

from chains.histories import room, trimmed
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


@pytest.mark.parametrize(
    ("said", "answer", "tokens"),
    [(10, None, 50), (60, None, 24), (10, 40, 46), (60, 90, 0), (10, 1_000_000, 36), (200, None, 0)],
)
def test_a_history_takes_what_the_prompt_and_the_answer_leave(said: int, answer: int | None, tokens: int) -> None:
    prompt = [HumanMessage(" ".join(["word"] * said))]
    assert room(prompt, most=1000, window=100, answer=answer, count=words) == tokens


def test_without_a_known_window_the_setting_alone_bounds_a_history() -> None:
    assert room([HumanMessage("word " * 5000)], most=1000, window=None, answer=None, count=words) == 1000
