"""Every capability through RemoteRunnable, from a process of its own with nothing but an address and a key."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.running import Running
from tests.e2e.test_capabilities import BODIES, EACH, ON_EVERY_DATABASE

CALLER = Path(__file__).parent / "remote_caller.py"


@pytest.fixture(scope="module")
def called(platform: Running) -> dict[str, Any]:
    """What the other program got, by capability."""
    names = ON_EVERY_DATABASE if "GENAI_DATABASE_URL" in platform.settings else tuple(BODIES)
    done = subprocess.run(
        [sys.executable, str(CALLER), platform.url, platform.key],
        input=json.dumps({name: BODIES[name] for name in names}),
        capture_output=True,
        text=True,
        timeout=800,  # seconds of a local model on a busy machine
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


@pytest.mark.parametrize("capability", EACH)
def test_every_way_of_calling_gives_the_same_kind_of_answer(called: dict[str, Any], capability: str) -> None:
    got = called[capability]
    kinds = {got["invoke"]["kind"], *(answer["kind"] for answer in got["batch"])}
    assert len(kinds) == 1
    assert got["invoke"]["content"]
    assert got["stream"]["content"]
    assert got["chunks"] > 1
    assert got["events"] == ["on_chain_start", "on_chain_end"]


def test_chat_gives_a_message_with_its_usage(called: dict[str, Any]) -> None:
    assert called["chat"]["invoke"]["kind"] == "AIMessage"
    assert called["chat"]["invoke"]["usage"]["total_tokens"] > 0
    assert called["chat"]["stream"]["kind"] == "AIMessageChunk"
    assert called["chat"]["stream"]["usage"]["total_tokens"] > 0


def test_rag_keeps_its_citations(called: dict[str, Any]) -> None:
    for way in (called["rag"]["invoke"], *called["rag"]["batch"], called["rag"]["stream"]):
        assert {"document", "document_id", "page", "start", "end", "quote"} <= set(way["content"]["citations"][0])
