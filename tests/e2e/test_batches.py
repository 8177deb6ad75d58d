"""Batches by OpenAI's own client, and through a kill of the platform."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from infra.running import Running, wait_until
from tests.fakes.openai import OpenAIFake
from tests.fakes.wire import Reply

CONFIG = """
handbook = false
[local]
warm = false
[jobs]
lease_s = 3
[[models]]
alias = "default"
[[models.deployments]]
provider = "openai_compatible:fake"
model = "gpt-4o-mini"
[providers."openai_compatible:fake"]
base_url = "{url}"
api_key = "x"
"""
ROWS = 60
FIRST = 15


@pytest.fixture
def provider() -> Iterator[OpenAIFake]:
    with OpenAIFake() as fake:
        yield fake.always(Reply(first_token_s=0.05))


@pytest.fixture
def mortal(provider: OpenAIFake, tmp_path: Path) -> Iterator[Running]:
    file = tmp_path / "genai.toml"
    file.write_text(CONFIG.format(url=provider.base_url))
    platform = Running(tmp_path / "platform", GENAI_CONFIG=str(file))
    yield platform.start()
    if platform.process is not None:
        platform.stop()


def test_a_batch_of_openais_client_goes_on_after_a_kill_with_what_is_left(mortal: Running, provider: OpenAIFake) -> None:
    rows = [
        {
            "custom_id": f"row-{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"messages": [{"role": "user", "content": f"row-{number}"}]},
        }
        for number in range(ROWS)
    ]
    with openai.OpenAI(base_url=f"{mortal.url}/v1", api_key=mortal.key) as client, mortal.client() as plain:
        file = client.files.create(file=("in.jsonl", "\n".join(map(json.dumps, rows)).encode()), purpose="batch")
        batch = client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"for": "a test"}
        )

        def so_far() -> list[str]:
            answer = plain.get(f"/api/v1/batches/{batch.id}/results").raise_for_status()
            return [json.loads(line)["custom_id"] for line in answer.text.splitlines()]

        wait_until(lambda: len(so_far()) >= FIRST, within_s=60, what="the first answers")
        finished = so_far()
        mortal.kill()
        mortal.start()
        while (batch := client.batches.retrieve(batch.id)).status not in ("completed", "failed", "expired"):
            time.sleep(0.1)
        assert batch.status == "completed"
        assert batch.request_counts is not None
        assert (batch.request_counts.completed, batch.request_counts.failed) == (ROWS, 0)
        output = client.files.content(batch.output_file_id or "").text
        assert [json.loads(line)["custom_id"] for line in output.splitlines()] == [row["custom_id"] for row in rows]
        asked = Counter(sent.body["messages"][-1]["content"] for sent in provider.asked)
        assert {asked[row] for row in finished} == {1}
        assert batch.metadata == {"for": "a test"}
        assert client.batches.list().data[0].id == batch.id
        assert {each.purpose for each in client.files.list()} == {"batch", "batch_output"}
        assert [each.id for each in client.files.list(order="asc")] == [each.id for each in client.files.list()][::-1]
        with pytest.raises(openai.BadRequestError, match="expires_after"):
            client.files.create(
                file=("in.jsonl", b"{}"), purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600}
            )
        twice = {"endpoint": "/api/v1/chat", "requests": [{"custom_id": "a", "body": {}}] * 2}
        assert plain.post("/api/v1/batches", json=twice).status_code == 422
        assert client.files.delete(file.id).deleted
        with pytest.raises(openai.NotFoundError):
            client.files.retrieve(file.id)
