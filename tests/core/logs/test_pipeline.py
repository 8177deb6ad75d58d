"""Log lines: JSON, with the request's identifier and without values that could be secret."""

import io
import json
import logging
import os
import pty
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import BaseModel, TypeAdapter, ValidationError

from core.audit.stream import tell
from core.logs import close_logging, configure_logging
from core.logs.foreign import Foreign
from core.settings import LogSettings
from core.tables import AuditEvent

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    root, printed = logging.getLogger(), io.StringIO()
    before = root.handlers[:], root.level
    monkeypatch.setattr(sys, "stdout", printed)
    configure_logging(LogSettings(format="json"))
    yield lambda: [json.loads(line) for line in printed.getvalue().splitlines()]
    close_logging()
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
    close_logging()
    told = capsys.readouterr().out + str(lines())
    assert "a secret" not in told
    assert "beware" in told
    assert "ours" in told


ROW = AuditEvent(
    tenant="acme",
    number=1,
    at=datetime(2026, 1, 1, tzinfo=UTC),
    action="key.created",
    outcome="success",
    actor="usr_1",
    previous_hash="0",
    hash="1",
)


Both = Callable[[], tuple[io.StringIO, io.StringIO]]


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch, lines: Lines) -> Both:
    """Makes standard output and standard error anew. Called within a test: pytest has its own before."""
    assert lines() == []

    def make() -> tuple[io.StringIO, io.StringIO]:
        out, err = io.StringIO(), io.StringIO()
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        return out, err

    return make


def test_each_stream_goes_where_its_setting_says(both: Both) -> None:
    out, err = both()
    configure_logging(LogSettings(format="json", audit="stderr", security="off"))
    structlog.get_logger().info("usage.settled")
    structlog.get_logger(stream="security").warning("signin.failed")
    tell([ROW])
    told, audit = json.loads(out.getvalue()), json.loads(err.getvalue())
    assert (told["stream"], told["event"]) == ("application", "usage.settled")
    assert (audit["stream"], audit["event"], audit["audit"]["event.action"]) == ("audit", "audit.recorded", "key.created")


def test_each_stream_has_its_level_and_the_audit_log_none(both: Both) -> None:
    out, _ = both()
    configure_logging(LogSettings(format="json", level="error", security_level="debug"))
    structlog.get_logger().warning("usage.late")
    structlog.get_logger(stream="security").debug("guard.found")
    tell([ROW])
    assert [json.loads(line)["stream"] for line in out.getvalue().splitlines()] == ["security", "audit"]


def test_a_command_s_answer_has_standard_output_for_itself(both: Both) -> None:
    out, err = both()
    configure_logging(LogSettings(format="json"), answers_on_stdout=True)
    structlog.get_logger().info("usage.settled")
    assert out.getvalue() == ""
    assert "usage.settled" in err.getvalue()


def test_what_a_caller_sent_does_not_steer_a_terminal(both: Both) -> None:
    out, _ = both()
    configure_logging(LogSettings(format="pretty"))
    structlog.get_logger(stream="security").info("fetch.refused", path="/\x1b[2J\n{}")
    (line,) = out.getvalue().splitlines()
    assert "security: fetch.refused" in line
    assert "\x1b[2J" not in line


def test_a_terminal_shows_a_traceback_without_its_values(both: Both) -> None:
    out, _ = both()
    configure_logging(LogSettings(format="pretty"))
    try:
        TypeAdapter(int).validate_python("a-secret-in-a-value")
    except ValidationError:
        structlog.get_logger().exception("failed")
    assert "ValidationError: (not logged)" in out.getvalue()
    assert "test_pipeline.py" in out.getvalue()
    assert "a-secret-in-a-value" not in out.getvalue()


def test_a_warning_that_repeats_is_counted(lines: Lines) -> None:
    log = structlog.get_logger()
    for number in range(5):
        with structlog.contextvars.bound_contextvars(request_id=f"req_{number}"):
            log.warning("provider.failed", provider="openai", attempt=number)
    log.warning("provider.failed", provider="azure")
    logging.getLogger("some.library").warning("try %d", 1)
    logging.getLogger("some.library").warning("try %d", 2)
    close_logging()
    told = [(line["event"], line.get("provider"), line.get("repeated")) for line in lines()]
    assert told == [
        ("provider.failed", "openai", None),
        ("provider.failed", "azure", None),
        ("some.library", None, None),
        ("provider.failed", "openai", 4),
        ("some.library", None, 1),
    ]


def fail(text: str) -> None:
    raise ValueError(text)


def test_credentials_are_taken_out_of_every_field(lines: Lines) -> None:
    key = "sk-proj-" + "a1B2" * 10
    with structlog.contextvars.bound_contextvars(request_id=f"gk_{'x' * 40}"):
        structlog.get_logger().info("odd", text=f"the key {key}", nested={"list": [f"password={key}"]})
    logging.getLogger("some.library").warning("it is %s", key, extra={"more": key})
    try:
        fail(f"not {key}")
    except ValueError:
        structlog.get_logger().exception("failed")
    told = json.dumps(lines(), ensure_ascii=False)
    assert key not in told
    assert "x" * 40 not in told
    assert told.count("…") == 6


def test_an_exception_is_structured_and_on_one_line(lines: Lines) -> None:
    try:
        try:
            Path("/nowhere").read_text()
        except OSError as error:
            raise ValueError("second") from error
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = lines()
    assert [one["exc_type"] for one in line["exception"]] == ["ValueError", "FileNotFoundError"]
    assert line["exception"][0]["frames"][0]["name"] == "test_an_exception_is_structured_and_on_one_line"


def test_a_record_that_cannot_be_shown_takes_nothing_with_it(lines: Lines) -> None:
    record = logging.LogRecord("some.library", logging.WARNING, __file__, 1, "%d of them", ("many",), None)
    next(each for each in logging.getLogger().handlers if isinstance(each, Foreign)).handle(record)
    (line,) = lines()
    assert (line["event"], line["level"]) == ("some.library", "warning")


@pytest.mark.parametrize(("form", "coloured"), [("auto", True), ("pretty", True), ("json", False)])
def test_a_terminal_gets_colours_unless_the_setting_says_json(
    monkeypatch: pytest.MonkeyPatch, lines: Lines, form: Any, coloured: bool
) -> None:
    assert lines() == []
    own, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        configure_logging(LogSettings(format=form))
        structlog.get_logger().info("usage.settled")
        shown = os.read(own, 4096)
    os.close(own)
    assert (b"\x1b[" in shown, b"{" in shown) == (coloured, not coloured)
