"""`make eval`: a suite as a gate. The exit code is 0 where all thresholds hold, 1 where one does not, 2 where there is no
result to judge."""

import argparse
import asyncio
import sys
from pathlib import Path

import httpx

from core.errors import PlatformError
from core.logs import close_logging, configure_logging
from core.settings import Settings, SettingsError, usual_variable
from evals.dataset_files import DatasetLimits
from evals.gate_report import Report, as_json, junit, markdown
from evals.gate_runs import read_baseline, run_here, run_there
from evals.pipelines import load

PASSED, FAILED, ERROR = 0, 1, 2
#: The files that it writes, below --out.
JUNIT, MARKDOWN, RESULTS = "junit.xml", "report.md", "results.json"


def command() -> int:
    """The same of the command line, in a process of its own: the report goes to standard output, its log to standard error."""
    try:
        settings = Settings.load()
        configure_logging(settings.log, settings.tls, answers_on_stdout=True)
    except SettingsError as error:
        return _wrong(str(error))
    try:
        return main()
    finally:
        close_logging()


def main(arguments: list[str] | None = None) -> int:
    """Run the suite that the arguments name; the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        report = asyncio.run(_run(asked))
    except SystemExit as error:  # a task of somebody's own code has ended the loop
        return _wrong(f"The run was ended from within: SystemExit({error.code!r}).")
    except PlatformError as error:
        return _wrong(f"{error.message} ({error.code})")
    except (SettingsError, OSError, UnicodeDecodeError) as error:
        return _wrong(str(error))
    except httpx.HTTPError as error:
        return _wrong(f"{asked.url} cannot be reached: {error}")
    out: Path = asked.out
    out.mkdir(parents=True, exist_ok=True)
    page = markdown(report)
    (out / JUNIT).write_text(junit(report), encoding="utf-8")
    (out / MARKDOWN).write_text(page, encoding="utf-8")
    (out / RESULTS).write_bytes(as_json(report))
    if asked.summary is not None:
        with asked.summary.open("a", encoding="utf-8") as summary:
            summary.write(page)
    sys.stdout.write(page)
    return _code(report)


async def _run(asked: argparse.Namespace) -> Report:
    settings = Settings.load()
    limits = DatasetLimits(settings.evaluations.examples, settings.evaluations.example_bytes)
    pipeline = await asyncio.to_thread(load, asked.suite, limits, dataset=asked.dataset)
    if asked.url is not None:
        return await run_there(pipeline, asked.url, usual_variable("GENAI_API_KEY"), baseline=asked.baseline)
    baseline = None if asked.baseline is None else read_baseline(await asyncio.to_thread(Path(asked.baseline).read_bytes))
    return await run_here(pipeline, settings, baseline=baseline)


def _code(report: Report) -> int:
    if report.stopped is not None or not report.measured:
        return ERROR
    return PASSED if report.passed else FAILED


def _wrong(message: str) -> int:
    sys.stderr.write(f"{message}\n")
    return ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make eval", description=__doc__)
    parser.add_argument("suite", help="a YAML file, or package.module:name of a Pipeline or Suite")
    parser.add_argument("--url", help="a platform that serves; its key is in GENAI_API_KEY. Without: in this process")
    parser.add_argument("--dataset", type=Path, help="a CSV or JSON lines, instead of the suite's")
    parser.add_argument("--baseline", help="results.json of an earlier gate; with --url the id of a run")
    parser.add_argument("--out", type=Path, default=Path(".eval"), help=f"where {JUNIT}, {MARKDOWN} and {RESULTS} are written")
    parser.add_argument("--summary", type=Path, help="a file that the Markdown is appended to, such as $GITHUB_STEP_SUMMARY")
    return parser


if __name__ == "__main__":
    raise SystemExit(command())
