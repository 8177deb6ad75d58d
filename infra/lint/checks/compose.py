"""Compose: exact images, confined containers, and each setting, secret, port, path and module of the application as it is."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.lint.checks.cluster_settings import SECRET, WITH_PASSWORD
from infra.lint.checks.image import EXACT
from infra.lint.finding import Finding
from infra.lint.tree import Tree, line_of

FILE = Path("infra/compose/compose.yaml")
#: Whose image cannot say whether it is well, and why.
_WITHOUT_HEALTH = {"otel-collector": "its image has no shell and no program that could ask"}
#: Services that run the application's image.
_OURS = ("platform", "worker")
_LIMITS = ("mem_limit", "pids_limit")


def check(tree: Tree) -> Iterator[Finding]:
    """All of it, by service."""
    text = (tree.root / FILE).read_text(encoding="utf-8")
    (compose,) = tree.yaml(tree.root / FILE)
    for name, service in compose["services"].items():
        problems = (*_image(name, service), *_confined(service), *_health(name, service), *_names(compose, service))
        for problem in (*problems, *_open(service)):
            yield Finding(FILE, line_of(text, rf"^  {re.escape(name)}:$"), f"{name}: {problem}")
        for problem in _application(tree, service) if name in _OURS else ():
            yield Finding(FILE, line_of(text, rf"^  {re.escape(name)}:$"), f"{name}: {problem}")
    for problem in (*_files(tree, compose), *_secrets(tree, compose), *_scraped(tree, compose)):
        yield Finding(FILE, 0, problem)


def _image(name: str, service: dict[str, Any]) -> Iterator[str]:
    repository, _, tag = service.get("image", "").partition(":")
    without = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", tag)
    if not EXACT.fullmatch(without):
        yield f"{service.get('image')} is no exact release"
    if repository.startswith("genai-") and "build" not in service:
        yield "an image of ours is built, it cannot be fetched"


def _confined(service: dict[str, Any]) -> Iterator[str]:
    if service.get("read_only") is not True:
        yield "its file system can be written to (read_only)"
    if service.get("cap_drop") != ["ALL"]:
        yield "it keeps rights of root's (cap_drop)"
    if "no-new-privileges:true" not in service.get("security_opt", ()):
        yield "it may gain rights (security_opt)"
    if service.get("privileged") or str(service.get("user", "")).startswith(("0", "root")):
        yield "it is root"
    for limit in _LIMITS:
        if limit not in service:
            yield f"it has no {limit}"
    for port in service.get("ports", ()):
        if not str(port).startswith("127.0.0.1:"):
            yield f"{port} is published beyond this machine"


def _health(name: str, service: dict[str, Any]) -> Iterator[str]:
    check = service.get("healthcheck")
    if "build" in service and check is None:
        return  # the image's own
    if check is None or check.get("disable"):
        if name not in _WITHOUT_HEALTH:
            yield "nothing asks whether it is well (healthcheck)"
    elif name in _WITHOUT_HEALTH:
        yield "it asks whether it is well: take it off infra/lint/checks/compose.py's list"


def _names(compose: dict[str, Any], service: dict[str, Any]) -> Iterator[str]:
    """What it names is in the file; who waits for somebody's health waits for one who tells it."""
    for kind in ("secrets", "configs", "networks"):
        for each in service.get(kind, ()):
            named = each["source"] if isinstance(each, dict) else each
            if named not in compose.get(kind, {}):
                yield f"{kind}: there is no {named}"
    for volume in service.get("volumes", ()):
        source = str(volume).partition(":")[0]
        if not source.startswith(".") and source not in compose["volumes"]:
            yield f"volumes: there is no {source}"
    for other, how in service.get("depends_on", {}).items():
        waited = compose["services"].get(other)
        if waited is None:
            yield f"depends_on: there is no {other}"
        elif not set(service["profiles"]) <= set(waited["profiles"]) and how.get("required") is not False:
            yield f"depends_on: {other} is not in each of its profiles"
        elif how["condition"] == "service_healthy" and waited.get("healthcheck", {}).get("disable"):
            yield f"depends_on: {other} does not tell whether it is well"
        elif how["condition"] == "service_started" and other not in _WITHOUT_HEALTH:
            yield f"depends_on: {other} is waited for until it is there, not until it is well (service_healthy)"
    given = {f"/run/secrets/{name}" for name in service.get("secrets", ())}
    for used in sorted(set(re.findall(r"/run/secrets/\w+", str(service))) - given):
        yield f"{used} is not among its secrets"


def _open(service: dict[str, Any]) -> Iterator[str]:
    """Secrets that are written down, or handed over where `docker inspect` shows them."""
    environment = service.get("environment", {})
    named = environment.items() if isinstance(environment, dict) else (str(each).split("=", 1) for each in environment)
    for name, *value in named:
        given = str(*value[:1])
        hidden = name.endswith("_FILE") or re.fullmatch(r"(file:)?/run/secrets/\w+", given)
        if (SECRET.search(name) and given and not hidden) or WITH_PASSWORD.search(given):
            yield f"{name} is a secret in the open: file:/run/secrets/… names a file of make-secrets"


def _application(tree: Tree, service: dict[str, Any]) -> Iterator[str]:
    environment = service["environment"]
    for name in environment:
        if name.startswith("GENAI_") and not tree.application.has_setting(name):
            yield f"{name} is no setting of the application"
    command = service.get("command", [])
    if command[:2] == ["python", "-m"] and not (tree.root / f"{command[2].replace('.', '/')}.py").exists():
        yield f"there is no module {command[2]}"
    port = environment.get("GENAI_PORT", tree.application.settings["GENAI_PORT"])
    for published in service.get("ports", ()):
        if str(published).rpartition(":")[2] != port:
            yield f"{published} is published, and it listens on {port}"
    test = service.get("healthcheck", {}).get("test", [])
    if len(test) > 4:
        asked, path = test[3:5]
        if asked != environment.get("GENAI_METRICS__PORT"):
            yield f"its health is asked for on port {asked}, and its metrics are on {environment.get('GENAI_METRICS__PORT')}"
        if path not in tree.application.routes:
            yield f"its health is asked for at {path}, which the application has not"
    config = environment.get("GENAI_CONFIG")
    if config and config not in {each["target"] for each in service.get("configs", ()) if isinstance(each, dict)}:
        yield f"GENAI_CONFIG names {config}, which is none of its configs"


def _files(tree: Tree, compose: dict[str, Any]) -> Iterator[str]:
    base = (tree.root / FILE).parent
    for name, config in compose["configs"].items():
        path = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", config["file"])
        if not (base / path).is_file():
            yield f"configs: {name} is {path}, which is not there"
    for name, service in compose["services"].items():
        for volume in service.get("volumes", ()):
            source = str(volume).partition(":")[0]
            if source.startswith(".") and not (base / source).exists():
                yield f"{name}: {source} is not there"
        if "build" in service and not (base / service["build"]["context"] / service["build"]["dockerfile"]).is_file():
            yield f"{name}: there is no {service['build']['dockerfile']}"


def _secrets(tree: Tree, compose: dict[str, Any]) -> Iterator[str]:
    made = (tree.root / FILE.with_name("make-secrets")).read_text(encoding="utf-8")
    for name, secret in compose["secrets"].items():
        if secret != {"file": f"./secrets/{name}"}:
            yield f"secrets: {name} is not the file of its name"
        if re.search(rf"\b{re.escape(name)}\b", made) is None:
            yield f"secrets: make-secrets makes no {name}"


def _scraped(tree: Tree, compose: dict[str, Any]) -> Iterator[str]:
    """Prometheus asks where somebody answers."""
    file = (tree.root / FILE).parent / "config/prometheus.yml"
    (prometheus,) = tree.yaml(file)
    ports = {
        "platform": compose["services"]["platform"]["environment"]["GENAI_PORT"],
        "worker": compose["services"]["worker"]["environment"]["GENAI_METRICS__PORT"],
    }
    for job in prometheus["scrape_configs"]:
        if job.get("metrics_path", "/metrics") not in tree.application.routes:
            yield f"{file.name}: {job['metrics_path']} is no path of the application"
        for found in job.get("dns_sd_configs", ()):
            for name in found["names"]:
                if str(found["port"]) != ports.get(name):
                    yield f"{file.name}: {name} does not answer on port {found['port']}"
        for targets in job.get("static_configs", ()):
            for target in targets["targets"]:
                host = target.partition(":")[0]
                if host not in compose["services"] and host != "127.0.0.1":
                    yield f"{file.name}: there is no {host}"
