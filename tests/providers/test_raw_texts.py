"""Which refusals of a raw text say that the server continues none, and how long that is believed."""

import pytest

from providers.neutral import of_status
from providers.raw_texts import RawTexts, has_none


@pytest.mark.parametrize(
    ("status", "said", "none"),
    [
        (404, "Not Found", True),
        (404, "This is a chat model and not supported in the v1/completions endpoint.", True),
        (405, "Method Not Allowed", True),
        (501, "not implemented", True),
        (400, "gpt-4o is not a completion model", True),
        (400, "The model does not support Completions API", True),
        (400, "The completion operation does not work. Did you mean to use v1/chat/completions?", True),
        (422, "completions are not supported", True),
        (400, "max_tokens is too large: 9 completion tokens", False),
        (401, "chat/completions", False),
        (429, "chat/completions", False),
        (500, "the completion failed", False),
        (503, "chat/completions", False),
    ],
)
def test_a_refusal_for_want_of_the_endpoint_is_told_from_others(status: int, said: str, none: bool) -> None:
    error = of_status(status, said)
    error.__cause__ = Status(status)
    assert has_none(error) is none


class Status(Exception):
    """What an SDK raises."""

    def __init__(self, status_code: int) -> None:
        self.status_code = status_code


def test_a_model_that_chats_instead_is_not_asked_for_a_time_and_then_again(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = RawTexts()
    assert texts.known("m") is None
    texts.completed("m")
    assert texts.known("m") is True
    texts.refused("m")
    assert texts.known("m") is None, "the server may be starting: a chat has not answered"
    texts.chatted("m")
    assert (texts.known("m"), texts.known("another")) == (False, None)
    monkeypatch.setattr("providers.raw_texts.CHATS_FOR_S", -1.0)
    texts.chatted("m")
    assert texts.known("m") is None
