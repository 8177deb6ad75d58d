import pytest
from pydantic import BaseModel, Field, ValidationError

from chains.rag import RAGRequest
from chains.refusals import in_words
from chains.root import invalid_input
from retrievers.collections import NAME_PATTERN


class Named(BaseModel):
    name: str = Field("a", pattern=NAME_PATTERN)
    code: str = Field("a", pattern="^[a-z]$")
    text: str = Field("a", min_length=1)
    count: int = 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "Bad Name"}, "A collection's name has small letters, digits, - and _, and begins with a letter or digit."),
        ({"code": "1"}, "code: it holds characters that are not allowed here"),
        ({"text": ""}, "The text is empty."),
        ({"count": "x"}, "count: Input should be a valid integer, unable to parse string as an integer"),
    ],
)
def test_what_is_wrong_is_said_without_a_pattern(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Named.model_validate(given)
    problem = refused.value.errors()[0]
    assert in_words({**problem}, str(problem["loc"][0])) == message


def test_a_blank_question_is_said_to_be_empty() -> None:
    with pytest.raises(ValidationError) as refused:
        RAGRequest.model_validate({"question": "  ", "collection": "a"})
    assert invalid_input(refused.value, {"question": "  ", "collection": "a"}).message == "The question is empty."
