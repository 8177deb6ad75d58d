"""Each check of images and Compose finds the mistake that is planted for it, and none in what is committed."""

from pathlib import Path

import pytest

from infra.lint.application import Application, collect
from infra.lint.tree import Tree
from tests.infra.planted import copied, needs_checkers, replaced, said, said_by_checkers

COMPOSE, IMAGE = "infra/compose/compose.yaml", "infra/docker/Dockerfile"


@pytest.fixture(scope="module")
def application() -> Application:
    return collect()


@pytest.fixture
def tree(tmp_path: Path, application: Application) -> Tree:
    """What the two checks look at."""
    parts = ("infra/docker", "infra/compose", "infra/prometheus", "infra/grafana", "infra/bench/mock_provider.py")
    tree = copied(
        tmp_path / "tree", *parts, "jobs/worker.py", "pyproject.toml", "requirements.lock", "README.md", "CHANGELOG.md"
    )
    for name in ("LICENSE", "langserve_app.py"):
        (tree.root / name).touch()
    for name in ("docs", "core", "providers", "retrievers", "chains", "evals", "server"):
        (tree.root / name).mkdir()
    tree.application = application
    return tree


@pytest.mark.parametrize("check", ["image", "compose", "names"])
def test_nothing_is_found_in_what_is_committed(check: str, tree: Tree) -> None:
    assert said(check, tree) == []


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("python:3.12.12-slim-bookworm AS base", "python:latest AS base", "python:latest is no exact release"),
        ("python:3.12.12-slim-bookworm AS base", "python:3.12-slim AS base", "python:3.12-slim is no exact release"),
        ("USER 10001:10001", "USER root", "the image's user is not given by number, or is root"),
        ("EXPOSE 8000", "EXPOSE 8080", "the platform's port, 8000, is not exposed"),
        ("GENAI_DATA_DIR=", "GENAI_DATA_DIRECTORY=", "GENAI_DATA_DIRECTORY is no setting of the application"),
        ("COPY core core", "COPY kernel core", "COPY kernel: there is no such file"),
        ("local-models ocr", "local-model ocr", "there is no extra 'local-model'"),
        ('CMD ["python", "langserve_app.py"]', 'CMD ["python", "-m", "jobs.work"]', "there is no module jobs.work"),
        ("HEALTHCHECK --interval=10s", "# ", "the image has no HEALTHCHECK"),
        ("STOPSIGNAL SIGTERM", "ADD https://example.com/x /x", "ADD is not replayed"),
    ],
    ids=["latest", "no patch", "root", "port", "setting", "file", "extra", "module", "health", "unknown"],
)
def test_a_mistake_in_the_image_is_found(tree: Tree, old: str, new: str, found: str) -> None:
    replaced(tree, IMAGE, old, new)
    assert any(found in each for each in said("image", tree)), said("image", tree)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("valkey/valkey:8.1.4-alpine", "valkey/valkey:latest", "valkey: valkey/valkey:latest is no exact release"),
        ("read_only: true", "read_only: false", "grafana: its file system can be written to"),
        ("cap_drop: [ALL]", "cap_drop: []", "postgres: it keeps rights of root's"),
        ("no-new-privileges:true", "no-new-privileges:false", "worker: it may gain rights"),
        ("    mem_limit: 1g\n    cpus: 1\n    pids_limit: 128", "    cpus: 1", "valkey: it has no mem_limit"),
        ('user: "999:1000"', 'user: "0:0"', "valkey: it is root"),
        ('"127.0.0.1:9090:9090"', '"9090:9090"', "prometheus: 9090:9090 is published beyond this machine"),
        ('"http://127.0.0.1:3000/api/health"]', '"x"]\n      disable: true', "grafana: nothing asks whether it is well"),
        ("GENAI_JOBS__EMBEDDED_WORKER", "GENAI_JOBS__WORKER", "platform: GENAI_JOBS__WORKER is no setting"),
        ("command: [python, -m, jobs.worker]", "command: [python, -m, jobs.work]", "worker: there is no module jobs.work"),
        (':-8000}:8000"', ':-8000}:8001"', "is published, and it listens on 8000"),
        ('GENAI_METRICS__PORT: "9464"', 'GENAI_METRICS__PORT: "9465"', "worker: its health is asked for on port 9464"),
        ('"9464", /metrics]', '"9464", /metric]', "worker: its health is asked for at /metric"),
        ("target: /etc/genai/genai.toml", "target: /etc/genai/models.toml", "which is none of its configs"),
        ("secrets: [grafana_password]", "secrets: []", "grafana: /run/secrets/grafana_password is not among its secrets"),
        ("./config/valkey.conf", "./config/redis.conf", "configs: valkey is ./config/redis.conf, which is not there"),
        ("./secrets/admin_key", "./secrets/admin", "secrets: admin_key is not the file of its name"),
        ('networks: [data]\n    volumes: ["valkey:/data"]', "networks: [dat]", "valkey: networks: there is no dat"),
        ('profiles: [dev, full]\n    user: "999:999"', "profiles: [full]", "platform: depends_on: postgres is not in each"),
        (
            "file:/run/secrets/admin_key",
            "0123456789abcdef0123456789abcdef",
            "platform: GENAI_ADMIN_KEY is a secret in the open",
        ),
        ("file:/run/secrets/redis_url", "redis://:secret@valkey:6379/0", "worker: GENAI_REDIS_URL is a secret in the open"),
        ("http://qdrant:6333", "http://me:secret@qdrant:6333", "GENAI_RETRIEVAL__QDRANT_URL is a secret in the open"),
        (
            "POSTGRES_PASSWORD_FILE: /run/secrets/postgres_password",
            "POSTGRES_PASSWORD: genai",
            "postgres: POSTGRES_PASSWORD is",
        ),
        (
            "valkey: {condition: service_healthy}",
            "valkey: {condition: service_started}",
            "valkey is waited for until it",
        ),
    ],
    ids=[
        *("latest", "writable", "rights", "privileges", "limits", "root", "published", "health", "setting", "module", "port"),
        *("metrics port", "metrics path", "config", "secret", "config file", "secret file", "network", "profile"),
        *("plain key", "plain url", "password in an address", "plain password", "started"),
    ],
)
def test_a_mistake_in_compose_is_found(tree: Tree, old: str, new: str, found: str) -> None:
    replaced(tree, COMPOSE, old, new)
    assert any(found in each for each in said("compose", tree)), said("compose", tree)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("port: 9464", "port: 9465", "prometheus.yml: worker does not answer on port 9465"),
        ("metrics_path: /metrics", "metrics_path: /metric", "prometheus.yml: /metric is no path of the application"),
        ("otel-collector:8888", "collector:8888", "prometheus.yml: there is no collector"),
    ],
    ids=["port", "path", "target"],
)
def test_a_mistake_in_what_is_scraped_is_found(tree: Tree, old: str, new: str, found: str) -> None:
    replaced(tree, "infra/compose/config/prometheus.yml", old, new)
    assert any(found in each for each in said("compose", tree)), said("compose", tree)


def test_a_secret_that_nobody_makes_is_found(tree: Tree) -> None:
    replaced(tree, "infra/compose/make-secrets", " grafana_password", "")
    assert said("compose", tree) == [f"{COMPOSE}:1: secrets: make-secrets makes no grafana_password"]


@pytest.mark.parametrize(
    ("file", "text", "found"),
    [
        ("infra/k8s/x.yaml", "env: {GENAI_DATABSE_URL: x}", "GENAI_DATABSE_URL is no setting of the application"),
        ("infra/k8s/x.yaml", "query: rate(genai_request_total[5m])", "genai_request_total is no metric of the application"),
        ("infra/prometheus/x.yml", "expr: genai_jobs_waitin", "genai_jobs_waitin is no metric of the application"),
        ("infra/k8s/x.yaml", "path: /api/v1/health/redy", "/api/v1/health/redy is no path of the application"),
        ("infra/k8s/x.yaml", "command: [python, -m, jobs.work]", "there is no module jobs.work"),
    ],
    ids=["setting", "metric", "metric of a rule", "path", "module"],
)
def test_a_name_that_the_application_has_not_is_found(tree: Tree, file: str, text: str, found: str) -> None:
    (tree.root / file).parent.mkdir(exist_ok=True)
    (tree.root / file).write_text(f"# one\n{text}\n")
    assert said("names", tree) == [f"{file}:2: {found}"]


@needs_checkers
@pytest.mark.parametrize(
    ("check", "file", "old", "new", "found"),
    [
        ("hadolint", IMAGE, "WORKDIR /app\nUSER", "RUN cd /app\nUSER", "DL3003"),
        ("schemas", COMPOSE, "restart: unless-stopped", "restarts: unless-stopped", "infra/compose/compose.yaml"),
        ("prometheus", "infra/prometheus/alerts.yml", "for: 2m", "for: two minutes", "infra/prometheus/alerts.yml"),
        (
            "prometheus",
            "infra/prometheus/alerts.yml",
            "{severity: page}",
            "{severity: none}",
            "infra/prometheus/alerts-test.yml",
        ),
        (
            "prometheus",
            "infra/compose/config/prometheus.yml",
            "scrape_configs:",
            "scrapes:",
            "infra/compose/config/prometheus.yml",
        ),
        ("prometheus", "infra/compose/config/alertmanager.yml", "receiver: operators", "receiver: ops", "alertmanager.yml"),
    ],
    ids=["hadolint", "schemas", "rule", "test of a rule", "scrapes", "receivers"],
)
def test_a_mistake_is_found_by_its_checker(
    tree: Tree, tmp_path: Path, check: str, file: str, old: str, new: str, found: str
) -> None:
    assert said_by_checkers(check, tree, tmp_path) == []
    replaced(tree, file, old, new)
    assert any(found in each for each in said_by_checkers(check, tree, tmp_path))
