"""What providers say that an answer used, replayed at the wire through the running platform: the ledger has each token once,
and the cost that was worked out by hand, to the last digit. The answers and their goldens are in `replayed_usage.toml`."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, select

from core.database import blocking_engine, blocking_transaction
from core.ledger.entries import CLASSES
from core.settings import Settings
from core.tables import LedgerRow
from infra.running import Running, running, wait_until
from tests.fakes.clouds import CLOUDS
from tests.fakes.wire import Break, Fake, Fault, Reply

GOLDENS = tomllib.loads((Path(__file__).parent / "replayed_usage.toml").read_text())
ANSWERS = {f"{each['cloud']}: {each['name']}": each for each in GOLDENS["answers"]}
BROKEN = {f"{each['cloud']}: {each['name']}": each for each in GOLDENS["broken"]}
#: By the operator's prices, and by the list's.
PRICES = ("own", "list")
HELLO = [{"role": "user", "content": "Hello"}]
#: What has come of a broken answer.
PART = "Hello from the "
_LEDGER = LedgerRow.__table__  # type: ignore[attr-defined]


@dataclass
class Replay:
    """The platform with a fake of each cloud, and its ledger."""

    platform: Running
    client: httpx.Client
    fakes: Mapping[str, Fake]
    engine: Engine
    _seen: set[str] = field(default_factory=set)

    def fake(self, case: Mapping[str, Any]) -> Fake:
        fake = self.fakes[CLOUDS[case["cloud"]].provider]
        fake.clear()
        return fake

    def new_rows(self, *, at_least: int = 1) -> list[dict[str, Any]]:
        """The ledger's rows that have come since this was last asked."""

        def found() -> list[dict[str, Any]]:
            with blocking_transaction(self.engine) as connection:
                rows = connection.execute(select(_LEDGER).order_by(_LEDGER.c.at)).mappings().all()
            return [dict(row) for row in rows if row["id"] not in self._seen]

        rows = wait_until(lambda: rows if len(rows := found()) >= at_least else [], within_s=90, what="rows in the ledger")
        self._seen |= {row["id"] for row in rows}
        return rows


def alias(case: Mapping[str, Any], price: str) -> str:
    return f"{case['cloud']}-{case['model']}-{price}".replace("#", ".").replace("@", ".")


def reply(case: Mapping[str, Any]) -> Reply:
    return Reply(usage=json.loads(case["usage"]), beside=json.loads(case.get("beside", "{}")))


def configuration(fakes: Mapping[str, Fake]) -> str:
    lines = []
    for cloud, model in sorted({(case["cloud"], case["model"]) for case in ANSWERS.values()}):
        for price in PRICES:
            named = alias({"cloud": cloud, "model": model}, price)
            lines += ["[[models]]", f'alias = "{named}"', "[[models.deployments]]"]
            lines += [f'provider = "{CLOUDS[cloud].provider}"', f'model = "{model}"']
            if price == "own":
                lines.append("[models.deployments.price]")
                lines += [f"{name} = {toml(value)}" for name, value in GOLDENS["own"].items()]
    for cloud in {each.provider: each for each in CLOUDS.values()}.values():
        lines += [f'[providers."{cloud.provider}"]', f'base_url = "{fakes[cloud.provider].url}{cloud.path}"']
        lines += [f"{name} = {toml(value)}" for name, value in cloud.options.items()]
    return "\n".join(lines)


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {toml(each)}" for name, each in value.items()) + " }"
    return json.dumps(value)


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replay]:
    directory = tmp_path_factory.mktemp("replayed")
    settings = {"GENAI_HANDBOOK": "false", "GENAI_LOCAL__WARM": "false", "GENAI_CONFIG": str(directory / "platform.toml")}
    with ExitStack() as stack:
        fakes = {each.provider: stack.enter_context(each.fake()) for each in CLOUDS.values()}
        (directory / "platform.toml").write_text(configuration(fakes))
        platform = stack.enter_context(running(directory, **settings))
        client = stack.enter_context(platform.client())
        engine = blocking_engine(Settings.load(data_dir=directory / "data"))
        stack.callback(engine.dispose)
        yield Replay(platform, client, fakes, engine)


def holds(row: Mapping[str, Any], case: Mapping[str, Any], price: str) -> None:
    golden = case[price]
    told = {name: row[f"{name}_tokens"] for name in CLASSES if row[f"{name}_tokens"]}
    assert told == case["tokens"]
    basis = golden.get("basis", "exact")
    assert (row["cost_usd"], row["price_basis"]) == (Decimal(golden["cost"]) if "cost" in golden else None, basis), golden[
        "sum"
    ]
    assert (row["tier"], row["estimated"]) == (case.get("tier"), case.get("estimated", False))
    assert row["price_source"] == ("settings" if price == "own" else f"genai-prices {version()}")
    assert row["price_since"] is None, "neither says from when on"


def version() -> str:
    from importlib.metadata import version

    return version("genai-prices")


def ask_streamed(replay: Replay, model: str) -> None:
    body = {"messages": HELLO, "model": model, "stream": True}
    answer = replay.client.post("/api/v1/chat", json=body)
    assert "event: done" in answer.text, answer.text


def ask_whole(replay: Replay, model: str) -> None:
    """Of a deployment that is known to be fast, so that the provider is asked for the whole at once."""
    answer = replay.client.post("/v1/chat/completions", json={"messages": HELLO, "model": model, "max_tokens": 1})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("price", PRICES)
@pytest.mark.parametrize("name", ANSWERS)
def test_a_replayed_answer_costs_what_was_worked_out_by_hand(replay: Replay, name: str, price: str) -> None:
    case = ANSWERS[name]
    fake = replay.fake(case)
    for ask, streamed in ((ask_streamed, True), (ask_whole, False)):
        fake.always(reply(case))
        ask(replay, alias(case, price))
        assert ("stream" in fake.last.path.lower() or bool(fake.last.body.get("stream"))) is streamed
        (row,) = replay.new_rows()
        assert (row["status"], row["alias"]) == ("ok", alias(case, price))
        holds(row, case, price)


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.LATE_ERROR], ids=["cut", "an error"])
@pytest.mark.parametrize("name", BROKEN)
def test_a_stream_that_breaks_is_paid_for_what_came(replay: Replay, name: str, fault: Fault) -> None:
    case = ANSWERS[name] | BROKEN[name] | {"estimated": True}
    replay.fake(case).then(Break(fault, case["chunks"], reply(case))).always(Fault.INVALID)
    answer = replay.client.post("/api/v1/chat", json={"messages": HELLO, "model": alias(case, "own"), "stream": True})
    assert "event: error" in answer.text, answer.text
    row = replay.new_rows()[0]
    assert row["status"] != "ok"
    holds(row, case, "own")


@pytest.mark.parametrize("name", BROKEN)
def test_an_answer_that_is_withheld_costs_what_its_provider_says(replay: Replay, name: str) -> None:
    case = ANSWERS[name]
    fake = replay.fake(case)
    withheld = replace(reply(case), finish=GOLDENS["withheld"][case["cloud"]])
    body = {"messages": HELLO, "model": alias(case, "own")}
    for more in ({"stream": True}, {"max_tokens": 1}):
        fake.always(withheld)
        answer = replay.client.post("/api/v1/chat", json=body | more)
        assert "content_refused" in answer.text, answer.text
        (row,) = replay.new_rows()
        assert row["status"] == "content_refused"
        holds(row, case, "own")


@pytest.mark.parametrize("name", BROKEN)
def test_a_caller_who_leaves_pays_for_what_came(replay: Replay, name: str) -> None:
    case = ANSWERS[name] | BROKEN[name] | {"estimated": True}
    replay.fake(case).always(Break(Fault.STALLED, case["chunks"], reply(case)))
    body = {"messages": HELLO, "model": alias(case, "own"), "stream": True}
    with replay.client.stream("POST", "/api/v1/chat", json=body) as answer:
        text = ""
        for line in answer.iter_lines():
            text += json.loads(line.removeprefix("data: ")).get("text", "") if line.startswith("data: ") else ""
            if text == PART:
                break
    (row,) = replay.new_rows()
    assert row["status"] == "cancelled"
    holds(row, case, "own")


def test_a_batch_costs_the_same_row_by_row(replay: Replay) -> None:
    cases = {ANSWERS[name]["cloud"]: ANSWERS[name] for name in BROKEN if ANSWERS[name]["cloud"] != "vertex"}
    rows = []
    for cloud, case in cases.items():
        replay.fake(case).always(reply(case))
        body = {"messages": HELLO, "model": alias(case, "own")}
        rows.append({"custom_id": cloud, "method": "POST", "url": "/v1/chat/completions", "body": body})
    data = "\n".join(map(json.dumps, rows)).encode()
    file = replay.client.post("/v1/files", files={"file": ("rows.jsonl", data)}, data={"purpose": "batch"}).raise_for_status()
    asked = {"input_file_id": file.json()["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    batch = replay.client.post("/v1/batches", json=asked).raise_for_status().json()["id"]
    found = replay.new_rows(at_least=len(cases))
    assert {row["request_id"].rpartition("-")[0] for row in found} == {batch}
    assert len(found) == len(cases)
    for row in found:
        holds(row, cases[next(cloud for cloud, case in cases.items() if alias(case, "own") == row["alias"])], "own")


def test_all_that_was_replayed_is_told_in_the_end_and_what_no_price_is_known_for_is_alarmed(replay: Replay) -> None:
    """The last of the module: what reports add up is what the rows have, and each stand-in for a price has raised an alert."""
    with blocking_transaction(replay.engine) as connection:
        rows = connection.execute(select(_LEDGER)).mappings().all()
    (line,) = replay.client.get("/api/v1/usage").raise_for_status().json()["results"]
    assert line["attempts"] == len(rows) > 2 * len(ANSWERS)
    assert Decimal(str(line["cost_usd"])).quantize(Decimal("1e-9")) == sum(row["cost_usd"] or 0 for row in rows)
    expected = {
        (basis, row["model"], row["tier"] if basis == "fallback" else None)
        for row in rows
        if (basis := row["price_basis"]) != "exact"
    }
    kinds = {"fallback_price": "fallback", "unpriced_model": "unpriced"}

    def alarmed() -> bool:
        alerts = replay.client.get("/api/v1/alerts", params={"limit": 200}).raise_for_status().json()["results"]
        told = {
            (kinds[alert["kind"]], alert["subject"]["model"], alert["subject"].get("tier"))
            for alert in alerts
            if alert["kind"] in kinds
        }
        return told == expected

    wait_until(alarmed, within_s=90, what=f"alerts of {expected}")
