"""Which extras an image needs, by what an installation asks of it: without one of them the platform refuses its start."""

import tomllib
from collections.abc import Mapping
from typing import Any

_FILES = {"s3": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure-blob", "abfs": "azure-blob", "abfss": "azure-blob"}
_STORES = {"chroma": "chroma", "chroma_server": "chroma", "qdrant": "qdrant-embedded"}
_PROVIDERS = {"vertex": "vertex", "local": "local-models"}
#: Without a model of their own in the TOML they are the bundled ones.
_BUNDLED = ("default", "embeddings")


def extras(settings: Mapping[str, str], models: str) -> set[str]:
    """Names of `extras.toml`. `settings` are the platform's variables, `models` the TOML that `GENAI_CONFIG` names."""
    told: Mapping[str, Any] = tomllib.loads(models)
    found = {_FILES.get(settings.get("GENAI_FILES_URL", "").partition("://")[0])}
    stores = [settings.get("GENAI_RETRIEVAL__STORE", "chroma"), *settings.get("GENAI_RETRIEVAL__OTHER_STORES", "").split('"')]
    found |= {_STORES.get(store) for store in stores}
    aliases = told.get("models", ())
    providers = {*told.get("providers", {}), *(each["provider"] for alias in aliases for each in alias["deployments"])}
    found |= {_PROVIDERS.get(provider.partition(":")[0]) for provider in providers}
    if settings.get("GENAI_RETRIEVAL__CROSS_ENCODER") or not {alias["alias"] for alias in aliases} >= set(_BUNDLED):
        found.add("local-models")
    return {name for name in found if name is not None}
