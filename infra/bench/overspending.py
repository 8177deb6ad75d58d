"""A budget before several processes: nobody spends more than it has, whoever asks at once and whoever is killed."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
from langchain_core.messages import HumanMessage

from core.settings import Settings
from core.valkey import EmbeddedValkey
from infra.bench import gateway, mock_provider
from infra.postgresql import database_of_platform, postgresql
from infra.running import Running, wait_until
from infra.several import several
from providers.tokens import count_messages, estimate

ASKED = "Say hello"
#: What the mock provider says that an answer used.
USED = mock_provider.PROMPT_TOKENS + mock_provider.DELTAS
#: With so many, exactly that is reserved.
MAX_TOKENS = USED - count_messages([HumanMessage(ASKED)], estimate)
#: Seconds of a request at most. What a killed process has reserved is let go half a minute after it.
TOTAL_S = 5.0
_LET_GO_S = TOTAL_S + 30.0 + 10.0


@contextmanager
def processes(place: Path, count: int) -> Iterator[list[Running]]:
    """Servers on one PostgreSQL and one Valkey, each with a data directory of its own, before one provider that answers after
    20 ms."""
    with ExitStack() as stack:
        valkey = EmbeddedValkey(Settings.load(data_dir=place / "valkey"))
        stack.callback(valkey.close)
        redis_url = valkey.start()
        provider = stack.enter_context(gateway.mock_provider())
        database = database_of_platform(stack.enter_context(postgresql()), "genai")
        configuration = (
            '[[models]]\nalias = "mock"\n'
            '[[models.deployments]]\nprovider = "openai_compatible:mock"\nmodel = "mock-20ms"\n'
            'price = { input_usd_per_million = "0.15", output_usd_per_million = "0.6" }\n'
            f'[providers."openai_compatible:mock"]\nbase_url = "{provider}/v1"\napi_key = "none"\n'
        )
        settings = {
            "GENAI_DATABASE_URL": database,
            "GENAI_REDIS_URL": redis_url,
            "GENAI_TIMEOUTS__TOTAL": str(TOTAL_S),
        }
        yield stack.enter_context(several(place, count, configuration=configuration, **settings))


async def overspent(place: Path, *, asked: int, room: int, killed: bool, servers: int = 4) -> dict[str, float]:
    """`asked` requests at once over the processes, before a budget with room for `room`; one of the processes may be killed in
    the middle. How many were answered and refused, and how the budget stands at the end.

    Raises:
        AssertionError: more was spent than there was room for, or somebody was refused without need.
        TimeoutError: what was reserved stays so.
    """
    with processes(place, servers) as started:
        first = started[0]
        with first.client() as client:
            budget = (
                client.post("/api/v1/budgets", json={"limit_tokens": room * USED, "window": "month"}).raise_for_status().json()
            )
            await asyncio.sleep(1.5)  # every process has it by then
            answers = await _asked(started, asked, kill=started[-1] if killed else None)
            figures = {name: float(answers[status]) for name, status in (("answered", 200), ("refused", 402), ("lost", 0))}
            assert answers.total() == asked == sum(figures.values()), answers

            def standing() -> dict[str, Any]:
                found: dict[str, Any] = client.get(f"/api/v1/budgets/{budget['id']}").raise_for_status().json()
                return found

            within_s = _LET_GO_S if killed else 5.0
            await asyncio.to_thread(wait_until, lambda: standing()["reserved"] == 0, within_s=within_s, what="nothing reserved")
            now = standing()
            used = client.get("/api/v1/usage").raise_for_status().json()["results"][0]
            figures |= {"spent": now["spent"], "reserved": now["reserved"], "limit": room * USED}
            figures["in_ledger"] = used["input_tokens"] + used["output_tokens"]
    assert figures["spent"] <= figures["limit"], figures
    assert figures["in_ledger"] <= figures["limit"], figures
    if not killed:
        assert (figures["answered"], figures["refused"]) == (room, asked - room), figures
        assert figures["in_ledger"] == figures["spent"] == figures["limit"], figures
    return figures


async def _asked(servers: list[Running], count: int, *, kill: Running | None) -> Counter[int]:
    """How often each status came; 0: the connection broke."""
    body = {"messages": [{"role": "user", "content": ASKED}], "model": "mock", "max_tokens": MAX_TOKENS}
    headers = {"authorization": f"Bearer {servers[0].settings['GENAI_ADMIN_KEY']}"}
    limits = httpx.Limits(max_connections=count)
    async with httpx.AsyncClient(timeout=60, trust_env=False, limits=limits) as client:
        first_answer = asyncio.Event()

        async def one(number: int) -> int:
            server = servers[number % len(servers)]
            try:
                answer = await client.post(f"{server.url}/api/v1/chat", json=body, headers=headers)
            except httpx.TransportError:
                return 0
            finally:
                first_answer.set()
            return answer.status_code

        async def killer() -> None:
            await first_answer.wait()
            if kill is not None:
                await asyncio.to_thread(kill.kill)

        killing = asyncio.create_task(killer())
        statuses = await asyncio.gather(*(one(number) for number in range(count)))
        await killing
    return Counter(statuses)
