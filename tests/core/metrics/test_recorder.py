"""What is counted of calls, answers and jobs: each token once, each dollar to the last digit, labels from closed sets."""

import threading
from decimal import Decimal
from typing import Any

from core.ledger import Entry, TokenClasses
from core.metrics import recorder as counting
from core.metrics.recorder import REST, Recorder
from core.metrics.seam import Answer


def entry(**told: Any) -> Entry:
    given = {
        "request_id": "req_1",
        "tenant": "acme",
        "principal": "usr_secret",
        "alias": "default",
        "provider": "openai",
        "model": "gpt-4o",
        "status": "ok",
        "latency_ms": 250.0,
        "capability": "chat",
    }
    return Entry(**(given | told))


def value(recorder: Recorder, name: str, **labels: str) -> float | None:
    return recorder.registry.get_sample_value(name, labels)


CALLED = {"alias": "default", "provider": "openai", "model": "gpt-4o"}


def test_each_token_is_in_one_class_and_details_apart() -> None:
    recorder = Recorder()
    tokens = TokenClasses(input=5, cached=7, cache_write=11, cache_write_1h=13, output=17, reasoning=3, input_audio=2)
    recorder.called(entry(tokens=tokens))
    recorder.called(entry(tokens=tokens))
    by_class = {
        name: value(recorder, "genai_tokens_total", **CALLED, **{"class": name})
        for name in ("input", "cached", "cache_write", "cache_write_1h", "output")
    }
    assert by_class == {"input": 10, "cached": 14, "cache_write": 22, "cache_write_1h": 26, "output": 34}
    assert value(recorder, "genai_token_details_total", **CALLED, detail="reasoning") == 6
    assert value(recorder, "genai_token_details_total", **CALLED, detail="output_audio") is None


def test_dollars_are_summed_exactly_from_any_thread() -> None:
    recorder = Recorder()

    def call() -> None:
        for _ in range(200):
            recorder.called(entry(cost_usd=Decimal("0.1")))
            recorder.called(entry(cost_usd=Decimal("0.000000000001")))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # added up as floats, 800 times 0.1 is 79.99999999999986
    assert value(recorder, "genai_cost_usd_total", **CALLED, capability="chat") == float(Decimal("80.0000000008"))
    assert value(recorder, "genai_provider_attempts_total", **CALLED, outcome="ok") == 1600


def test_a_call_without_a_price_is_counted_and_not_free() -> None:
    recorder = Recorder()
    recorder.called(entry(cost_usd=None, estimated=True))
    deployment = {"provider": "openai", "model": "gpt-4o"}
    assert value(recorder, "genai_provider_unpriced_attempts_total", **deployment) == 1
    assert value(recorder, "genai_provider_estimated_attempts_total", **deployment) == 1
    assert value(recorder, "genai_cost_usd_total", **CALLED, capability="chat") is None


def test_an_answer_of_the_cache_is_no_call() -> None:
    recorder = Recorder()
    recorder.called(entry(cache="hit"))
    recorder.not_kept("default", "miss")
    assert value(recorder, "genai_cache_requests_total", alias="default", result="hit") == 1
    assert value(recorder, "genai_cache_requests_total", alias="default", result="miss") == 1
    assert value(recorder, "genai_provider_attempts_total", **CALLED, outcome="ok") is None


def test_a_stream_that_broke_off_has_its_status_and_its_error() -> None:
    recorder = Recorder()
    recorder.began()
    assert value(recorder, "genai_requests_in_progress") == 1
    broken = Answer("rest", "chat", 200, 2.0, first_s=0.3, overhead_s=0.02, error="provider_failed", error_status=502)
    recorder.answered(broken)
    served = {"door": "rest", "capability": "chat"}
    assert value(recorder, "genai_requests_in_progress") == 0
    assert value(recorder, "genai_requests_total", **served, status="200") == 1
    assert value(recorder, "genai_errors_total", **served, code="provider_failed", status="502") == 1
    assert value(recorder, "genai_request_first_token_seconds_sum", **served) == 0.3
    assert value(recorder, "genai_request_overhead_seconds_bucket", **served, le="0.025") == 1


def test_no_label_tells_whose_a_call_was() -> None:
    recorder = Recorder()
    recorder.called(entry(key_id="key_secret", session_id="ses_secret", tags={"team": "secret"}))
    values = {label for family in recorder.registry.collect() for sample in family.samples for label in sample.labels.values()}
    assert not any("secret" in label or label in ("acme", "req_1") for label in values)


def test_labels_that_are_not_from_a_closed_set_after_all_end_in_one_series(monkeypatch: Any) -> None:
    monkeypatch.setattr(counting, "MOST", 10)
    recorder = Recorder()
    for number in range(50):
        recorder.called(entry(alias=f"alias-{number}", tokens=TokenClasses(input=1), cost_usd=Decimal(1)))
    rest = {"alias": REST, "provider": REST, "model": REST}
    assert value(recorder, "genai_tokens_total", **rest, **{"class": "input"}) == 40
    assert value(recorder, "genai_provider_attempts_total", **rest, outcome=REST) == 40
    assert value(recorder, "genai_cost_usd_total", **rest, capability=REST) == 40


def test_a_job_is_counted_by_its_kind_and_how_it_ended() -> None:
    recorder = Recorder()
    recorder.job_ended("ingestion", "failed", waited_s=3, ran_s=40)
    assert value(recorder, "genai_job_wait_seconds_sum", kind="ingestion") == 3
    assert value(recorder, "genai_job_duration_seconds_bucket", kind="ingestion", outcome="failed", le="60.0") == 1
