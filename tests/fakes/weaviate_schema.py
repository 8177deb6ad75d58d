"""What Weaviate takes as a schema: of a collection and of its properties, by its published description."""

import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

CLASS_FIELDS = {
    "class",
    "description",
    "invertedIndexConfig",
    "moduleConfig",
    "multiTenancyConfig",
    "objectTtlConfig",
    "properties",
    "replicationConfig",
    "shardingConfig",
    "vectorConfig",
    "vectorIndexConfig",
    "vectorIndexType",
    "vectorizer",
}
_PROPERTY_FIELDS = {
    "name",
    "dataType",
    "description",
    "indexFilterable",
    "indexSearchable",
    "indexRangeFilters",
    "moduleConfig",
    "tokenization",
    "nestedProperties",
    # of the client's own; a server does not look at them
    "skip_vectorization",
    "vectorize_property_name",
}
_TYPES = {"text", "text[]", "int", "int[]", "number", "number[]", "boolean", "boolean[]", "date", "uuid", "object", "object[]"}
_TOKENIZATIONS = {"word", "lowercase", "whitespace", "field", "trigram", "gse", "kagome_ja", "kagome_kr"}
_HNSW = {
    "cleanupIntervalSeconds": 300,
    "dynamicEfMin": 100,
    "dynamicEfMax": 500,
    "dynamicEfFactor": 8,
    "ef": -1,
    "flatSearchCutoff": 40_000,
    "maxConnections": 32,
    "skip": False,
    "vectorCacheMaxObjects": 10**12,
}


def filled_up(given: Mapping[str, Any]) -> dict[str, Any]:
    """A class with what the server takes where it is told nothing."""
    described = deepcopy(dict(given))
    words = {"bm25": {"k1": 1.2, "b": 0.75}, "stopwords": {"preset": "en", "additions": None, "removals": None}}
    described["invertedIndexConfig"] = {**words, "cleanupIntervalSeconds": 60, **described.get("invertedIndexConfig", {})}
    described["replicationConfig"] = {"factor": 1, "asyncEnabled": False, **described.get("replicationConfig", {})}
    for each in described["vectorConfig"].values():
        each["vectorIndexConfig"] = {**_HNSW, **each["vectorIndexConfig"]}
    return described


def property_problems(each: Mapping[str, Any]) -> list[str]:
    """Of a property that is to be made."""
    problems = [f"unknown field {name}" for name in each.keys() - _PROPERTY_FIELDS]
    kind, tokenization = each["dataType"][0], each.get("tokenization")
    if not re.fullmatch(r"[_A-Za-z][_0-9A-Za-z]{0,230}", each["name"]) or each["name"] in ("id", "_id", "vector"):
        problems.append(f"{each['name']} is not a valid property name")
    if kind not in _TYPES or (tokenization and (not kind.startswith("text") or tokenization not in _TOKENIZATIONS)):
        problems.append(f"{each['name']}: tokenization or data type")
    if each.get("indexSearchable") and not kind.startswith("text"):
        problems.append("`indexSearchable` is allowed only for text/text[] data types")
    return problems
