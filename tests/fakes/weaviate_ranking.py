"""What a tenant of Weaviate's has, and in which order a search finds it: by vectors, or by words."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(slots=True)
class Stored:
    properties: dict[str, Any]
    vector: np.ndarray


@dataclass(slots=True)
class Tenant:
    objects: dict[str, Stored] = field(default_factory=dict)
    #: Stays when all of its vectors are deleted.
    dimension: int = 0


class Refused(Exception):
    """What the server says instead of an answer."""


def property_of(schema: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    for each in schema["properties"]:
        if each["name"] == name:
            return dict(each)
    raise Refused(f"no such prop with name '{name}' found in class '{schema['class']}' in the schema")


def nearest(schema: Mapping[str, Any], asked: Any, tenant: Tenant, among: list[Any]) -> list[Any]:
    targets = list(asked.targets.target_vectors) or list(asked.target_vectors)
    if targets != list(schema["vectorConfig"]):
        raise Refused(f"class has no target vector {targets}")
    packed = asked.vectors[0].vector_bytes if asked.vectors else asked.vector_bytes
    if not packed:
        packed = asked.vector_for_targets[0].vector_bytes or asked.vector_for_targets[0].vectors[0].vector_bytes
    vector = np.frombuffer(packed, dtype="<f4")
    if among and len(vector) != tenant.dimension:
        raise Refused("vector search: knn search: distance between entrypoint and query node: vector lengths don't match")
    found = []
    for key, one, _ in among:
        length = float(np.linalg.norm(one.vector) * np.linalg.norm(vector))
        found.append((key, one, 1.0 - float(one.vector @ vector) / max(length, 1e-12)))
    return sorted(found, key=lambda each: each[2])


def by_words(schema: Mapping[str, Any], asked: Any, tenant: Tenant) -> dict[str, float]:
    """BM25 as the server has it: each property by itself, without the factor of k1 + 1, a word as often as it is asked for."""
    k1, b = 1.2, 0.75
    scores: dict[str, float] = {}
    if not asked.properties:
        raise Refused("no properties provided, and none of the class's is looked for here")
    for name in asked.properties:
        described = property_of(schema, name.partition("^")[0])
        if not described.get("indexSearchable") or described.get("tokenization") != "whitespace":
            raise Refused(f"property {name}: is not indexed. Please choose another property or add an index to this property")
        texts = {key: words for key, one in tenant.objects.items() if (words := one.properties.get(name, "").split())}
        mean = sum(map(len, texts.values())) / max(len(texts), 1)
        for word, times in Counter(asked.query.split()).items():
            having = {key: words.count(word) for key, words in texts.items() if word in words}
            rare = math.log(1 + (len(tenant.objects) - len(having) + 0.5) / (len(having) + 0.5))
            for key, often in having.items():
                length = 1 - b + b * len(texts[key]) / mean
                scores[key] = scores.get(key, 0.0) + times * rare * often / (often + k1 * length)
    return scores
