"""Suites in YAML, and what is wrong with them."""

import pytest

from core.errors import InvalidRequest
from core.model_settings import ModelAlias
from evals.asking import body_of, reuse_key
from evals.base import Example
from evals.metrics import METRICS
from evals.suites import Suite, Target, check_metrics, parse
from providers.editions import Edition
from providers.registry.pins import Pinned

GOOD = "name: capitals\ndataset: capitals\nmetrics: [exact_match]\n"


def test_a_metric_is_named_alone_or_with_options() -> None:
    suite = parse(GOOD.replace("[exact_match]", "[f1, {name: regex, label: polite, options: {pattern: please}}]"))
    assert [(one.called, one.name) for one in suite.metrics] == [("f1", "f1"), ("polite", "regex")]
    assert Suite.model_validate_json(suite.model_dump_json()) == suite


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        (
            GOOD + "thresholds:\n  - {metric: exact_match, min: 1}\n  - metric: exact_match\n    min: high\n",
            "thresholds.1.min",
            "Line 7",
        ),
        (GOOD + "target:\n  alais: x\n", "target.alais", "Line 5"),
        (GOOD + "thresholds: [{metric: bleu, min: 1}]", None, "'bleu'"),
        (GOOD + "thresholds: [{metric: exact_match}]", "thresholds.0", "Line 4"),
        (GOOD.replace("[exact_match]", "[f1, f1]"), None, "two metrics are called 'f1'"),
        (GOOD.replace("[exact_match]", "[a: b"), None, "line 4"),
        ("name: &a x\ndataset: *a\nmetrics: [f1]", None, "aliases are not taken"),
        (GOOD + "dataset: others\n", None, "line 4, column 1: 'dataset' is given twice"),
        (GOOD + "target: {alias: a, alias: b}\n", None, "'alias' is given twice"),
        ("- a", None, "no object"),
        (GOOD + "thresholds: [{metric: exact_match, min: .nan}]", "thresholds.0.min", "finite"),
        (GOOD + "thresholds: [{metric: exact_match, max: .inf}]", "thresholds.0.max", "finite"),
        (GOOD + "thresholds: [{metric: exact_match, min: 2, max: 1}]", "thresholds.0", "min is not above max"),
        (GOOD + "target: {parameters: {stop: [{x: .nan}]}}", "target.parameters", "finite"),
        (GOOD.replace("[exact_match]", "[{name: chrf, options: {beta: .inf}}]"), "metrics.0.options", "finite"),
        ("name: x y\ndataset: d\nmetrics: [f1]", "name", "Line 1"),
    ],
    ids=[
        "value",
        "unknown",
        "no-metric",
        "asks-nothing",
        "doubled",
        "no-yaml",
        "alias",
        "twice",
        "twice-within",
        "list",
        "nan",
        "inf",
        "min-max",
        "nan-parameter",
        "inf-option",
        "name",
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_field(text: str, field: str | None, said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(text)
    assert (refused.value.code, refused.value.param) == ("invalid_suite", field)
    assert said in refused.value.message


def test_a_metric_without_a_plugin_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"metrics\.0\.name: there is no metric 'vibes'"):
        check_metrics(parse(GOOD.replace("exact_match", "vibes")), METRICS)


def test_an_input_becomes_the_body_of_its_capability() -> None:
    text, fields = Example("1", {"text": "Hi"}), Example("2", {"q": {"word": "sun"}})
    asked = {"role": "user", "content": "Hi"}
    assert body_of(Target(parameters={"temperature": 0}), text) == {"temperature": 0, "model": "default", "messages": [asked]}
    assert body_of(Target(capability="rag", parameters={"collection": "c"}), text)["question"] == "Hi"
    filled = body_of(Target(template="Say {q.word}.", system="Be brief."), fields)["messages"]
    assert [one["content"] for one in filled] == ["Be brief.", "Say sun."]
    whole = Example("3", {"messages": [asked], "temperature": 1})
    assert body_of(Target(parameters={"temperature": 0}), whole)["temperature"] == 1
    with pytest.raises(InvalidRequest, match=r"'q\.moon'"):
        body_of(Target(template="{q.moon}"), fields)


def pinned(digest: str) -> Pinned:
    """The alias of suites that name none, at a version with that digest."""
    alias = ModelAlias.model_validate({"alias": "default", "deployments": [{"provider": "openai", "model": "m"}]})
    return Pinned({"default": Edition(1, alias, (), digest)}, {})


def test_an_outcome_is_found_by_input_parameters_and_version_and_never_of_collections() -> None:
    suite, example = parse(GOOD), Example("1", {"text": "Hi"})
    first, second = (pinned(digest) for digest in ("a" * 64, "b" * 64))
    same = reuse_key(b"s", suite, first, example)
    assert same == reuse_key(b"s", suite, first, Example("other", {"text": "Hi"}, "expected"))
    warm = parse(GOOD + "target: {parameters: {temperature: 1}}")
    others = [
        reuse_key(b"s", warm, first, example),
        reuse_key(b"s", suite, second, example),
        reuse_key(b"t", suite, first, example),
    ]
    assert len({same, *others}) == 4
    assert reuse_key(b"s", parse(GOOD + "target: {capability: rag}"), first, example) is None
