"""Each check of workflows and runbooks finds the mistake that is planted for it, and none in what is committed."""

from pathlib import Path

import pytest

from infra.lint.tree import Tree
from tests.infra.planted import copied, needs_checkers, replaced, said, said_by_checkers

CI, IMAGES, RELEASE, TERRAFORM = (f".github/workflows/{name}.yml" for name in ("ci", "images", "release", "terraform"))
DELIVER, MAIN, PROMOTE = (f".github/workflows/{name}.yml" for name in ("deliver", "main", "promote"))
ALERTS, RUNBOOKS = "infra/prometheus/alerts.yml", "docs/runbooks.md"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    pages = (RUNBOOKS, "docs/terraform.md", "docs/kubernetes.md")
    parts = (".github", "infra/prometheus", *pages, "Makefile", "infra/changelog.py")
    return copied(tmp_path / "tree", *parts)


@pytest.mark.parametrize("check", ["workflows", "runbooks"])
def test_nothing_is_found_in_what_is_committed(check: str, tree: Tree) -> None:
    assert said(check, tree) == []


@pytest.mark.parametrize(
    ("path", "old", "new", "found"),
    [
        (CI, "actions/checkout@v4.2.2", "actions/checkout@v4", "actions/checkout@v4 is no exact release"),
        (CI, "actions/checkout@v4.2.2", "actions/checkout@main", "actions/checkout@main is no exact release"),
        (CI, "permissions:\n  contents: read", "permissions: write-all", "does not name its permissions"),
        (CI, "permissions:\n  contents: read\n", "", "does not name its permissions"),
        (CI, "contents: read", "contents: write", "may write in every job"),
        (CI, "run: make lint\n", "run: make lynt\n", "make has no target lynt"),
        (CI, "run: make lint\n", "run: echo ${{ github.head_ref }}\n", "github.head_ref is put into a script"),
        (CI, "pull_request:", "pull_request_target:", "runs a stranger's change"),
        (CI, "persist-credentials: false", "persist-credentials: true", "keeps its token"),
        (CI, "    timeout-minutes: 15\n", "", "no timeout-minutes"),
        (RELEASE, "infra.changelog", "infra.notes", "there is no module infra.notes"),
        (RELEASE, "./.github/workflows/ci.yml", "./.github/workflows/tests.yml", "there is no ./.github/workflows/tests.yml"),
        (".github/workflows/security.yml", "gitleaks:v8.30.1", "gitleaks:latest", "gitleaks:latest is no exact release"),
        (CI, "run: make lint\n", "run: make lint || true\n", "has the step succeed whatever it finds"),
        (CI, "run: make lint\n", "run: |\n          set +e\n          make lint\n", "'set +e' has the step succeed"),
        (CI, "run: make lint\n", "run: make lint\n        continue-on-error: true\n", "the job lint goes on where"),
        (CI, "timeout-minutes: 15\n", "timeout-minutes: 15\n    continue-on-error: true\n", "the job lint goes on where"),
        (CI, "runs-on: ubuntu-24.04", "runs-on: ubuntu-latest", "the job lint runs on ubuntu-latest"),
        (
            RELEASE,
            "needs: [version, tests, eval, security]",
            "needs: version",
            "images does not wait for ./.github/workflows/ci",
        ),
        (RELEASE, "tests, eval, security]", "tests, eval]", "release does not wait for ./.github/workflows/security.yml"),
        (RELEASE, "needs: [version, images]\n    permissions", "needs: version\n    permissions", "deliver does not wait for"),
        (RELEASE, "  images:\n", "  images:\n    if: always()\n", "images is run whatever the jobs before it say"),
        (IMAGES, "  workflow_call:", "  push:\n  workflow_call:", "what it publishes has passed no test"),
        (MAIN, "needs: [tests, eval, security]", "needs: [eval, security]", "does not wait for ./.github/workflows/ci.yml"),
        (TERRAFORM, "vars.AWS_PLAN_ROLE", "vars.AWS_PLANNER", "no page of docs/ tells of the variable AWS_PLANNER"),
    ],
    ids=[
        *("major", "branch", "all", "none", "write", "target", "injected", "strangers", "token", "endless", "module"),
        *("workflow", "image", "or true", "set", "goes on", "job goes on", "latest", "untested", "not looked through"),
        *("not waited for", "always", "push", "main", "variable"),
    ],
)
def test_a_mistake_in_a_workflow_is_found(tree: Tree, path: str, old: str, new: str, found: str) -> None:
    replaced(tree, path, old, new)
    assert any(found in each and each.startswith(path) for each in said("workflows", tree)), said("workflows", tree)


@needs_checkers
def test_what_github_does_not_know_is_found(tree: Tree, tmp_path: Path) -> None:
    assert said_by_checkers("schemas", tree, tmp_path) == []
    replaced(tree, IMAGES, "runs-on: ubuntu-24.04", "run-on: ubuntu-24.04")
    line = (tree.root / IMAGES).read_text().splitlines().index("  replay:") + 1
    told = f"{IMAGES}:{line}: $.jobs.replay: 'runs-on' is a required property"
    assert told in said_by_checkers("schemas", tree, tmp_path)


@pytest.mark.parametrize(
    ("path", "old", "new", "found"),
    [
        (RUNBOOKS, "## GenaiDown\n", "## Down\n", "GenaiDown has no section"),
        (ALERTS, "runbooks.md#genaidown", "runbooks.md#down", "GenaiDown links docs/runbooks.md#down"),
        (ALERTS, "- alert: GenaiDown", "- alert: GenaiGone", "there is no alert GenaiDown"),
        (ALERTS, "labels: {severity: page}", "labels: {severity: loud}", "neither a page nor a ticket"),
    ],
    ids=["section", "link", "alert", "severity"],
)
def test_a_mistake_in_alerts_or_runbooks_is_found(tree: Tree, path: str, old: str, new: str, found: str) -> None:
    replaced(tree, path, old, new)
    assert any(found in each for each in said("runbooks", tree)), said("runbooks", tree)


@pytest.mark.parametrize(
    ("workflow", "job", "condition", "told"),
    [
        (TERRAFORM, "plan", "steps.plan.outcome == 'skipped'", "Nothing was planned of $STACK"),
        (DELIVER, "deliver", None, "Nothing was brought to $CLOUD, $ENVIRONMENT"),
        (PROMOTE, "promote", None, "No workflow has looked at this yet"),
    ],
    ids=["plan", "deliver", "promote"],
)
def test_a_job_that_does_less_than_it_could_says_so(
    tree: Tree, workflow: str, job: str, condition: str | None, told: str
) -> None:
    (said_in,) = (step for step in tree.yaml(tree.root / workflow)[0]["jobs"][job]["steps"] if told in str(step.get("run", "")))
    assert "GITHUB_STEP_SUMMARY" in said_in["run"]
    assert said_in.get("if") == condition
