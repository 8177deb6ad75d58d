"""What an unknown error counts as while an answer is read."""

import pytest
from langchain_core.exceptions import ModelConnectionError, ModelTimeoutError
from structlog.testing import capture_logs

from core.errors import InvalidRequest
from providers.misreading import answers_own


def raised(error: Exception) -> Exception:
    try:
        raise error  # noqa: TRY301 - for its traceback
    except Exception as caught:  # noqa: BLE001 - with its traceback
        return caught


class SomePackagesError(Exception):
    """Of no tree that is known here."""


def test_what_is_known_stays_what_it_is() -> None:
    for error in (ModelTimeoutError("late"), InvalidRequest("no"), ConnectionResetError()):
        assert answers_own(raised(error), None) is error


def test_what_is_not_known_is_an_answer_that_cannot_be_read() -> None:
    for error in (AttributeError("usage_metadata"), SomePackagesError("unions"), RecursionError(), OverflowError()):
        with capture_logs() as logs:
            found = answers_own(raised(error), lambda: None)
        assert isinstance(found, ModelConnectionError)
        assert found.__cause__ is error
        assert [(entry["event"], entry["error"]) for entry in logs] == [("provider.misread", type(error).__name__)]
        assert "test_misreading.py:" in logs[0]["at"]


def test_an_error_of_building_the_request_is_none_of_the_answers() -> None:
    def prepare() -> None:
        raise SomePackagesError

    error = raised(TypeError("a parameter"))
    with pytest.raises(SomePackagesError):
        answers_own(error, prepare)
    assert isinstance(answers_own(error, None), ModelConnectionError)
