"""The documentation's kubectl commands are held against what the overlays make."""

from pathlib import Path

import pytest

from infra.lint.application import ROOT
from infra.lint.tree import Tree
from tests.infra.clusters import cluster
from tests.infra.planted import needs_checkers, said

pytestmark = needs_checkers
PAUSE = "kubectl -n genai annotate scaledobject genai-server genai-worker autoscaling.keda.sh/paused-replicas="


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return cluster(tmp_path_factory.mktemp("commands"), "production/aws", "dev/aws")


def found(tree: Tree, page: str) -> list[str]:
    (tree.root / "docs").mkdir(exist_ok=True)
    (tree.root / "docs/page.md").write_text(page)
    return said("cluster-commands", tree)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("kubectl -n genai scale deployment --all --replicas=0", "the pods of Deployment genai-server are its Rollout's"),
        ("kubectl -n genai scale deployment/genai-worker --replicas=0", "scales Deployment genai-worker back"),
        ("kubectl -n genai scale rollout genai-server --replicas=0", "scales Rollout genai-server back"),
        ("kubectl --namespace=genai rollout restart deployment/genai-server", "are its Rollout's"),
        ("kubectl --namespace genai delete job genai-migration", "no overlay has a Job genai-migration"),
        ("kubectl argo rollouts restart genai-servers", "no overlay has a Rollout genai-servers"),
        ("kubectl -n genai exec deploy/genai-wroker -- genai backup", "no overlay has a Deployment genai-wroker"),
        ("kubectl -n genai wait --for=delete pod -l app.kubernetes.io/component=servers", "selects no pod"),
        (
            f"{PAUSE.rstrip('=')}-`, `kubectl -n genai scale rollout/genai-server --replicas=0",
            "scales Rollout genai-server back",
        ),
    ],
    ids=["all", "worker", "rollout", "restart", "job", "argo", "exec", "selector", "no longer paused"],
)
def test_a_command_that_would_not_do_it_is_found(tree: Tree, command: str, told: str) -> None:
    here = found(tree, f"# A page\n\nRun `{command}`.\n")
    assert any(told in each and each.startswith("docs/page.md:3: ") for each in here), here


@pytest.mark.parametrize(
    "page",
    [
        f'```sh\n{PAUSE}"0"\nkubectl -n genai scale rollout/genai-server --replicas=0\n```\n',
        f"{PAUSE}0 --overwrite\n   kubectl -n genai scale \\\n   deployment/genai-worker --replicas=0\n",
        "`kubectl -n genai wait --for=delete pod --selector 'app.kubernetes.io/component in (server, worker)'`",
        "kubectl apply -k infra/k8s/overlays/dev/aws\nkubectl -n genai rollout restart deployment/genai-server\n",
        "`kubectl -n argocd scale deployment argocd-server --replicas=0`",
    ],
    ids=["paused", "paused, in two lines", "selector", "where no Rollout is", "another namespace"],
)
def test_a_command_that_does_is_not(tree: Tree, page: str) -> None:
    assert found(tree, page) == []


def test_a_pause_is_of_its_own_section(tree: Tree) -> None:
    page = f"## One\n\n`{PAUSE}0`\n\n## Other\n\n`kubectl -n genai scale rollout/genai-server --replicas=0`\n"
    assert [each.partition(": ")[0] for each in found(tree, page)] == ["docs/page.md:7"]


def test_the_documentation_has_none_that_would_not(tree: Tree) -> None:
    for page in ("failover", "kubernetes", "operations", "deployment"):
        assert found(tree, (ROOT / "docs" / Path(page).with_suffix(".md")).read_text()) == []
