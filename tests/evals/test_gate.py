"""`make eval`: exit codes and what is written, by a pipeline that needs no model."""

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from evals import gate
from evals.base import Example, Outcome, Score
from evals.gate_report import ExampleReport, Report, junit, markdown
from evals.metrics import METRICS
from evals.pipelines import Pipeline
from evals.scoring import held
from evals.suites import suite_of
from tests.fakes.metrics import Exits, ExitsInATask

Gate = Callable[..., int]


async def ask(example: Example) -> str:
    if example.id == "broken":
        raise RuntimeError("no answer")
    return str(example.input["text"])


async def mumble(_: Example) -> str:
    return "Ho"


def pipeline(count: int, *, said: str = "Hi", **more: object) -> Pipeline:
    made = {"name": "echo", "dataset": "echo", "metrics": ["exact_match"], "thresholds": [{"metric": "exact_match", "min": 1}]}
    examples = [Example(str(number), {"text": said}, "Hi") for number in range(count)]
    return Pipeline(suite_of(made | more), examples, ask)


GOOD = pipeline(12)
BAD = pipeline(12, said="Ho")
NOT_WORSE = {"thresholds": [{"metric": "exact_match", "not_worse_than_baseline": True}]}
SAME, OTHERS = pipeline(12, **NOT_WORSE), pipeline(13, **NOT_WORSE)
WORSE, MUMBLED = Pipeline(SAME.suite, SAME.examples, mumble), Pipeline(GOOD.suite, GOOD.examples, mumble)


class Shouting:
    name, higher_is_better, signature = "shouting", False, "shouting"

    async def score(self, outcome: Outcome) -> Score:
        return Score(float(outcome.output.isupper()))


LOUD = {"name": "echo", "dataset": "echo", "thresholds": [{"metric": "loud", "max": 0}]}
OWN = Pipeline(suite_of(LOUD | {"metrics": []}), GOOD.examples, ask, {"loud": Shouting()})


NONE = Pipeline(suite_of(LOUD | {"metrics": ["f1"], "thresholds": []}), [Example("broken", {"text": "Hi"}, "Hi")], ask)


MISSING = Pipeline(suite_of(LOUD | {"metrics": ["missing"], "thresholds": []}), GOOD.examples, ask)
LEAVING = Pipeline(suite_of(LOUD | {"metrics": ["exact_match"]}), GOOD.examples, ask, {"loud": Exits()})
LEFT = Pipeline(suite_of(LOUD | {"metrics": ["exact_match"]}), GOOD.examples, ask, {"loud": ExitsInATask()})


def mistaken() -> Pipeline:
    return Pipeline(suite_of(LOUD | {"metrics": ["f1"]}))


def raising() -> Pipeline:
    raise RuntimeError("no such table")


UNMEASURED = Pipeline(GOOD.suite, [Example("fine", {"text": "Hi"}, "Hi"), Example("broken", {"text": "Hi"}, "Hi")], ask)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    monkeypatch.setenv("GENAI_DATA_DIR", str(tmp_path / "data"))
    return lambda name, *more: gate.main([f"tests.evals.test_gate:{name}", "--out", str(tmp_path / "out"), *more])


@pytest.mark.parametrize(
    ("name", "code"), [("GOOD", 0), ("BAD", 1), ("UNMEASURED", 1), ("SAME", 2), ("NOBODY", 2), ("OWN", 0), ("NONE", 2)]
)
def test_the_exit_code_says_whether_thresholds_hold(run: Gate, name: str, code: int) -> None:
    assert run(name) == code


@pytest.mark.parametrize(
    ("name", "said"),
    [("mistaken", "'loud', which is no metric"), ("raising", "cannot be made: RuntimeError: no such table")],
    ids=["mistaken", "raising"],
)
def test_a_pipeline_that_cannot_be_made_is_no_result(
    run: Gate, capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    assert run(name) == gate.ERROR
    assert said in capsys.readouterr().err


def test_a_module_that_is_no_python_is_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken_pipeline.py").write_text("def (")
    monkeypatch.syspath_prepend(tmp_path)
    assert gate.main(["broken_pipeline:PIPELINE", "--out", str(tmp_path)]) == gate.ERROR
    assert "SyntaxError" in capsys.readouterr().err


def test_a_metric_that_cannot_be_loaded_is_no_result(
    run: Gate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(METRICS._targets, "missing", "tests.fakes.metrics:Missing")
    assert run("MISSING") == gate.ERROR
    assert "metric_unavailable" in capsys.readouterr().err


def test_a_metric_that_exits_is_unmeasured(run: Gate, tmp_path: Path) -> None:
    assert run("LEAVING") == gate.FAILED
    told = json.loads((tmp_path / "out" / "results.json").read_bytes())["metrics"]["loud"]
    assert told["unmeasured"] == {"metric_failed": 12}


def test_what_exits_in_a_task_of_its_own_is_no_result(run: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("LEFT") == gate.ERROR
    assert "SystemExit(3)" in capsys.readouterr().err


def test_what_it_writes_is_a_baseline_for_the_next(run: Gate, tmp_path: Path) -> None:
    assert run("GOOD", "--summary", str(tmp_path / "summary.md")) == 0
    tests = ElementTree.parse(tmp_path / "out" / "junit.xml").getroot()
    assert (tests.get("failures"), len(tests.findall(".//testcase"))) == ("0", 13)
    assert (tmp_path / "summary.md").read_text() == (tmp_path / "out" / "report.md").read_text()
    before = tmp_path / "before.json"
    before.write_bytes((tmp_path / "out" / "results.json").read_bytes())
    assert run("SAME", "--baseline", str(before)) == 0
    assert run("OTHERS", "--baseline", str(before)) == 2  # a verdict over other examples would be none
    assert run("WORSE", "--baseline", str(before)) == 1
    thresholds = json.loads((tmp_path / "out" / "results.json").read_bytes())["thresholds"]
    assert thresholds[0]["reasons"] == ["worse_than_baseline"]
    assert run("MUMBLED", "--baseline", str(before)) == 1  # no threshold asks for it: it is shown
    assert "| exact_match | worse |" in (tmp_path / "out" / "report.md").read_text()


def test_a_suite_in_a_file_has_its_dataset_beside_it(run: Gate, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = tmp_path / "suite.yaml"
    suite.write_text("name: s\ndataset: rows.csv\nmetrics: [exact_match]\n")
    out = str(tmp_path / "out")
    assert gate.main([str(suite), "--out", out]) == 2
    assert "dataset_needed" in capsys.readouterr().err
    (tmp_path / "rows.csv").write_text("text,expected\nHi\n")
    assert gate.main([str(suite), "--out", out]) == 2
    assert "Row 1" in capsys.readouterr().err


def test_reports_can_be_read_whatever_they_tell() -> None:
    threshold = {"metric": "a|b", "value": None, "min": 1.0, "max": None, "verdict": None, "unmeasured": 1, "passed": False}
    threshold |= {"total": 1, "max_unmeasured": 0.0, "why_unmeasured": {"timeout": 1}}
    figures = {"a|b": {"mean": None, "measured": 0, "unmeasured": {"timeout": 1}, "together": {"flipped": 0.5, "kappa": None}}}
    report = Report(
        '"<&\x00', "chat", figures, [threshold | {"reasons": ["no_value"]}], examples=[ExampleReport("x", {}, "timeout")]
    )
    tests = ElementTree.fromstring(junit(report))
    assert [case.get("name") for case in tests.findall(".//testcase")] == ["a|b at least 1", "example x"]
    assert (len(tests.findall(".//failure")), len(tests.findall(".//skipped"))) == (1, 1)
    assert "| a\\|b | flipped | 0.5 |\n| a\\|b | kappa | not known |" in markdown(report)
    assert "| a\\|b at least 1 |  | **no**: no_value |" in markdown(report)


def test_what_is_unmeasured_in_part_is_told_and_passes_no_gate() -> None:
    suite = suite_of(LOUD | {"metrics": ["f1"], "thresholds": [{"metric": "f1", "min": 0, "max_unmeasured": 0.25}]})
    figures = {"mean": 1.0, "measured": 1, "unmeasured": {"unreadable_verdict": 1}}
    one = held(suite.thresholds[0], figures, total=2)
    scores = {"f1": {"value": None, "why": "unreadable_verdict"}, "latency": {"value": 1.0, "why": None}}
    report = Report("s", "chat", {"f1": figures}, [one], examples=[ExampleReport("x", scores)], version="3-ab")
    page, tests = markdown(report), ElementTree.fromstring(junit(report))
    assert "unmeasured: 1 of 2, at most 25% may be (unreadable_verdict: 1)" in page
    assert "- x: f1: unreadable_verdict" in page
    assert "version 3-ab" in page
    assert tests.findall(".//skipped")[0].get("message") == "unmeasured: f1: unreadable_verdict"
    assert tests.findall(".//failure")[0].get("message", "").startswith("unmeasured: 1 of 2")


def test_a_baseline_with_which_nothing_can_be_compared_holds_for_nothing() -> None:
    figures = {"mean": 1.0, "measured": 8, "unmeasured": {}}
    for why in ("too_few", "too_many_unmeasured", "other_signature"):
        told = held(SAME.suite.thresholds[0], figures, total=8, against={"verdict": "inconclusive", "why": why})
        assert (told["passed"], told["reasons"]) == (False, [f"baseline_{why}"])
    assert held(SAME.suite.thresholds[0], figures, total=8, against={"verdict": "inconclusive", "why": None})["passed"]
