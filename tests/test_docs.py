"""The documentation keeps up with the code: it is also what the handbook answers from."""

import re
from pathlib import Path

import pytest

from core.settings import describe

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_every_setting_is_described() -> None:
    page = (ROOT / "docs/configuration.md").read_text()
    assert [variable for variable, _, _ in describe() if f"`{variable}`" not in page] == []


def test_no_page_names_a_setting_that_is_not_there() -> None:
    known = {variable for variable, _, _ in describe()} | {"GENAI_CONFIG", "GENAI_URL", "GENAI_API_KEY"}
    named = {(page.name, name) for page in PAGES for name in re.findall(r"\bGENAI_[A-Z_]+[A-Z]\b", page.read_text())}
    tables = ("GENAI_PROVIDERS__", "GENAI_MODELS__")  # of the TOML file, open to names of the operator's own
    assert {pair for pair in named if pair[1] not in known and not pair[1].startswith(tables)} == set()


def test_every_error_code_that_a_caller_may_see_is_described() -> None:
    page = (ROOT / "docs/errors.md").read_text()
    raised: set[str] = set()
    for package in ("core", "providers", "retrievers", "chains", "jobs", "server"):
        for file in (ROOT / package).rglob("*.py"):
            raised |= set(re.findall(r"\bcode\s*=\s*\"([a-z_]+)\"", file.read_text()))
            raised |= set(re.findall(r"^    code, status.* = \"([a-z_]+)\"", file.read_text(), re.MULTILINE))
    client_side = {
        "invalid_url",
        "unreachable",
        "timeout",
        "no_json",
        "no_text",
        "unknown",
        "certificate_not_trusted",
    }  # the command line's own
    assert sorted(code for code in raised - client_side if f"`{code}`" not in page) == []


def test_every_error_code_of_a_status_is_described_once() -> None:
    rows = re.findall(r"^\| (\d{3}) \| ([^|]+) \|", (ROOT / "docs/errors.md").read_text(), re.MULTILINE)
    described = [(status, code) for status, codes in rows for code in re.findall(r"`([a-z_]+)`", codes)]
    assert sorted({each for each in described if described.count(each) > 1}) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_pictures_of_a_page_are_there(page: Path) -> None:
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", page.read_text())]
    local = [target for target in targets if target and not target.startswith(("http://", "https://"))]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_make_targets_that_a_page_names_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = re.findall(r"(?:^    |`)make ([a-z][a-z-]*)", page.read_text(), re.MULTILINE)
    assert [target for target in named if f"\n{target}:" not in makefile] == []


def test_every_call_of_curl_that_sends_json_says_so() -> None:
    calls = [
        (page.name, call)
        for page in PAGES
        for call in re.findall(r"\bcurl (?:\\\n|[^\n`])*", page.read_text())
        if re.search(r" (-d|--data\S*) ['\"@]?[{@]?", call)
    ]
    assert len(calls) > 20
    silent = [(page, call) for page, call in calls if "Content-Type: application/json" not in call and "grant_type" not in call]
    assert silent == []
