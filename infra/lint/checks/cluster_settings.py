"""What infra/k8s sets is a setting of the application, no secret is written down, and ports are those of the settings."""

import re
import tomllib
from collections.abc import Iterator
from functools import cache

from infra.lint.application import ROOT
from infra.lint.cluster import Overlay, overlays
from infra.lint.finding import Finding
from infra.lint.tree import Tree

#: Settings that hold a secret, or an address with one in it: never in a ConfigMap.
SECRET = re.compile(r"(_KEY|_TOKEN|PASSWORD|SECRET|DATABASE_URL|REDIS_URL|PGVECTOR_URL|DIRECT_URL)$")
#: An address with a password in it.
WITH_PASSWORD = re.compile(r"://[^/@\s]*:[^/@\s]*@")
_KEY_OF_A_SERVICE = "GENAI_ENCRYPTION__KEY_ID"


def check(tree: Tree) -> Iterator[Finding]:
    """Names that mean nothing to the application, secrets in the open, ports that differ."""
    for overlay in overlays(tree):
        for each in (*_names(overlay, tree), *_ports(overlay), *_models(overlay), *_needed(overlay)):
            yield Finding(overlay.path, 0, each)


def _names(overlay: Overlay, tree: Tree) -> Iterator[str]:
    for name, value in overlay.settings().items():
        if not _is_known(name, tree):
            yield f"ConfigMap genai-settings: {name} is no setting of the application"
        if SECRET.search(name) or WITH_PASSWORD.search(value):
            yield f"ConfigMap genai-settings: {name} is a secret"
    for secret in overlay.of("ExternalSecret"):
        if secret["spec"]["target"]["name"] == "genai-secrets":
            for entry in secret["spec"]["data"]:
                if not _is_known(entry["secretKey"], tree):
                    yield f"ExternalSecret genai-secrets: {entry['secretKey']} is no setting of the application"
    for secret in overlay.of("Secret"):
        yield f"Secret {secret['metadata']['name']}: secrets come from the cloud's store"


def _is_known(name: str, tree: Tree) -> bool:
    if name.startswith("GENAI_"):
        return tree.application.has_setting(name)
    return name in _named_elsewhere()


@cache
def _named_elsewhere() -> frozenset[str]:
    """The variables that clouds and OpenTelemetry read and the application or its documentation names."""
    files = [*ROOT.glob("core/**/*.py"), *ROOT.glob("providers/**/*.py"), *ROOT.glob("docs/*.md")]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    return frozenset(re.findall(r"\b(?:AWS|AZURE|GOOGLE|OTEL)_[A-Z0-9_]+\b", text))


def _ports(overlay: Overlay) -> Iterator[str]:
    settings = overlay.settings()
    wanted = {"https": settings.get("GENAI_PORT"), "metrics": settings.get("GENAI_METRICS__PORT")}
    for deployment in overlay.of("Deployment"):
        for container in deployment["spec"]["template"]["spec"]["containers"]:
            for port in container.get("ports", ()):
                name, number = port.get("name"), str(port["containerPort"])
                if number != wanted.get(name):
                    yield f"{container['name']}: the port {name} is {number}, and the settings say {wanted.get(name)}"


def _models(overlay: Overlay) -> Iterator[str]:
    for models in overlay.of("ConfigMap"):
        if not models["metadata"]["name"].startswith("genai-models"):
            continue
        try:
            named = {model["alias"] for model in tomllib.loads(models["data"]["platform.toml"]).get("models", ())}
        except (tomllib.TOMLDecodeError, KeyError) as problem:
            yield f"platform.toml: {problem}"
            continue
        if "default" not in named:
            yield "platform.toml: no alias `default`, which callers that name none are given"


def _needed(overlay: Overlay) -> Iterator[str]:
    """What several processes without a shared disk cannot do without."""
    settings = overlay.settings()
    wanted = {
        "GENAI_RETRIEVAL__STORE": r"pgvector|qdrant_server|weaviate|pinecone|chroma_server",
        "GENAI_FILES_URL": r"(s3|gs|az)://.+",
        "GENAI_DATABASE__MIGRATE": r"false",
        "GENAI_JOBS__EMBEDDED_WORKER": r"false",
        "GENAI_ENCRYPTION__SOURCE": r"aws_kms|azure_key_vault|google_kms|vault_transit",
        _KEY_OF_A_SERVICE: r".+",
    }
    for name, pattern in wanted.items():
        if not re.fullmatch(pattern, settings.get(name, "")):
            yield f"ConfigMap genai-settings: {name} has to be {pattern}, is {settings.get(name)!r}"
    secrets = {entry["secretKey"] for each in overlay.of("ExternalSecret") for entry in each["spec"]["data"]}
    needed = ("GENAI_ADMIN_KEY", "GENAI_SECRET_KEY", "GENAI_DATABASE_URL", "GENAI_REDIS_URL", "GENAI_METRICS__TOKEN")
    yield from (f"no ExternalSecret brings {name}" for name in needed if name not in secrets)
