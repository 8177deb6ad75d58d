"""The harness of `make lint-infra`, and its smallest check."""

from pathlib import Path

import pytest

from infra.lint.__main__ import main
from infra.lint.application import Application, collect
from infra.lint.checks import CHECKS
from infra.lint.tree import Tree
from tests.infra.planted import needs_checkers, said_by_checkers


def test_what_the_application_has_is_told_from_one_environment_to_the_other(tmp_path: Path) -> None:
    application = collect()
    application.write(tmp_path / "application.json")
    assert Application.read(tmp_path / "application.json") == application
    assert application.settings["GENAI_PORT"] == "8000"
    assert application.has_setting("GENAI_PROVIDERS__OPENAI__API_KEY")
    assert not application.has_setting("GENAI_PROT")
    assert {"/api/v1/health/ready", "/metrics"} <= set(application.routes)
    assert {"genai_requests_total", "genai_request_duration_seconds_bucket"} <= set(application.metrics)


def test_a_check_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["no-such-check"])
    assert "no-such-check" in capsys.readouterr().err


def test_each_check_is_a_module_of_its_own() -> None:
    here = Path(__file__).parents[3]
    modules = [entry.partition(":")[0] for entry in CHECKS.values()]
    assert [module for module in modules if not (here / f"{module.replace('.', '/')}.py").is_file()] == []


@needs_checkers
def test_a_mistake_in_a_script_is_found(tmp_path: Path) -> None:
    script = tmp_path / "infra" / "clean"
    script.parent.mkdir()
    script.write_text('#!/bin/sh\nls "$1"\n')
    assert said_by_checkers("shell", Tree(tmp_path), tmp_path) == []
    script.write_text("#!/bin/sh\nls $1\n")
    (found, *_) = said_by_checkers("shell", Tree(tmp_path), tmp_path)
    assert found.startswith("infra/clean:2: ")
