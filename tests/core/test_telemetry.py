"""Log lines: JSON, with the request's identifier and without values that could be secret."""

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from pydantic import BaseModel, ValidationError

from core.audit.stream import tell
from core.settings import LogSettings
from core.tables import AuditEvent
from core.telemetry import configure_logging

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    root, printed = logging.getLogger(), io.StringIO()
    before = root.handlers[:], root.level
    monkeypatch.setattr(sys, "stderr", printed)
    configure_logging(LogSettings(format="json"))
    yield lambda: [json.loads(line) for line in printed.getvalue().splitlines()]
    root.handlers[:], root.level = before
    logging.captureWarnings(False)
    structlog.reset_defaults()


def test_an_event_carries_its_fields_and_the_request(lines: Lines) -> None:
    with structlog.contextvars.bound_contextvars(request_id="req_1"):
        structlog.get_logger().info("usage.settled", tokens=7)
    (line,) = lines()
    assert (line["event"], line["tokens"], line["request_id"], line["level"]) == ("usage.settled", 7, "req_1", "info")


def test_a_library_s_record_becomes_an_event_named_after_its_logger(lines: Lines) -> None:
    logging.getLogger("some.library").warning("it is %s", "so")
    (line,) = lines()
    assert (line["event"], line["message"]) == ("some.library", "it is so")


def test_a_traceback_shows_neither_variables_nor_what_was_validated(lines: Lines) -> None:
    class Model(BaseModel):
        number: int

    local_secret = "a-secret-in-a-variable"
    try:
        Model(number="a-secret-in-a-value")  # type: ignore[arg-type]
    except ValidationError:
        structlog.get_logger().exception("failed")
    printed = json.dumps(lines())
    assert "ValidationError" in printed
    assert "a-secret-in-a-value" not in printed
    assert local_secret not in printed


def test_any_value_can_be_logged(lines: Lines) -> None:
    structlog.get_logger().info("odd", text="half \ud800", number=2**70, path=sys.path, kind=Model)
    (line,) = lines()
    assert (line["text"], line["number"]) == ("half \ud800", 2**70)
    assert "Model" in line["kind"]


def test_lines_below_the_level_are_not_written(lines: Lines) -> None:
    structlog.get_logger().debug("detail")
    logging.getLogger("some.library").debug("detail")
    assert lines() == []


class Model:
    """A value that JSON does not know."""


def test_libraries_are_not_heard_below_a_warning_whatever_the_level(lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    """The AWS SDK and the database's driver tell credentials and values there, also where they set a level of their own."""
    configure_logging(LogSettings(format="json", level="debug"))
    talkative = logging.getLogger("some.library.of.its.own")
    talkative.setLevel(logging.DEBUG)
    try:
        logging.getLogger("aiosqlite").debug("executing %s", "a secret")
        talkative.info("a secret")
        talkative.warning("beware")
        structlog.get_logger().debug("ours")
    finally:
        talkative.setLevel(logging.NOTSET)
    told = capsys.readouterr().err + str(lines())
    assert "a secret" not in told
    assert "beware" in told
    assert "ours" in told


@pytest.mark.usefixtures("lines")
def test_the_audit_log_s_lines_go_where_the_setting_says_whatever_the_level(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = AuditEvent(
        tenant="acme",
        number=1,
        at=datetime(2026, 1, 1, tzinfo=UTC),
        action="key.created",
        outcome="success",
        actor="usr_1",
        previous_hash="0",
        hash="1",
    )
    apart, mixed = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", apart)
    monkeypatch.setattr(sys, "stderr", mixed)
    configure_logging(LogSettings(format="json", level="error"))
    tell([row])
    configure_logging(LogSettings(format="pretty", level="error", audit="stdout"))
    tell([row])
    beside, alone = json.loads(mixed.getvalue()), json.loads(apart.getvalue())
    assert (beside["event"], beside["logger"], beside["audit"]) == ("audit.recorded", "audit", alone)
    assert (alone["log.logger"], alone["event.action"], alone["@timestamp"]) == (
        "audit",
        "key.created",
        "2026-01-01T00:00:00.000000Z",
    )
