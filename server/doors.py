"""Through which door a request comes, and for which capability: closed sets, for metrics.

rest       POST /api/v1/CAPABILITY
langserve  /api/v1/CAPABILITY/invoke, /batch, /stream, …
openai     /v1/chat/completions, /v1/completions, /v1/embeddings
api        everything else below /api/v1 and /v1
probe      health and metrics
page       everything else
"""

from collections.abc import Mapping
from functools import cache

from chains import CHAINS

PREFIX = "/api/v1/"
_OPENAI = {"/v1/chat/completions": "chat", "/v1/completions": "completion", "/v1/embeddings": "embeddings"}
_LANGSERVE = ("invoke", "batch", "stream", "stream_events", "stream_log")
_PROBES = ("/api/v1/health", "/metrics")


def door_of(path: str) -> tuple[str, str]:
    """(door, capability); the capability is empty where the path is none's."""
    found = _capabilities().get(path)
    if found is not None:
        return found
    if path.startswith(_PROBES):
        return "probe", ""
    return ("api" if path.startswith((PREFIX, "/v1/")) else "page"), ""


@cache
def _capabilities() -> Mapping[str, tuple[str, str]]:
    """By the whole path: one look into a dictionary a request."""
    found = {path: ("openai", capability) for path, capability in _OPENAI.items()}
    for name in CHAINS:
        found[f"{PREFIX}{name}"] = "rest", name
        found |= {f"{PREFIX}{name}/{way}": ("langserve", name) for way in _LANGSERVE}
    return found
