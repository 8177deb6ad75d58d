"""Paths as metrics tell them apart."""

import pytest

from chains import CHAINS
from server.doors import door_of


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/api/v1/chat", ("rest", "chat")),
        ("/api/v1/code/review", ("rest", "code/review")),
        ("/api/v1/code/review/stream", ("langserve", "code/review")),
        ("/v1/chat/completions", ("openai", "chat")),
        ("/v1/embeddings", ("openai", "embeddings")),
        ("/api/v1/users/usr_0123456789", ("api", "")),
        ("/v1/files/file_1", ("api", "")),
        ("/api/v1/chat/usr_1", ("api", "")),
        ("/api/v1/health/ready", ("probe", "")),
        ("/metrics", ("probe", "")),
        ("/chat", ("page", "")),
    ],
)
def test_a_path_is_a_door_s_and_a_capability_s(path: str, told: tuple[str, str]) -> None:
    assert door_of(path) == told


def test_whatever_is_asked_for_the_labels_are_few() -> None:
    asked = [f"/{a}/{b}/{c}" for a in ("api", "v1", "x") for b in ("v1", "chat", "é") for c in range(50)]
    capabilities = {capability for _, capability in map(door_of, asked)}
    assert capabilities <= {"", "embeddings", *CHAINS}
