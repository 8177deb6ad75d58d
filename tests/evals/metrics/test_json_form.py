import pytest

from evals.metrics.json_form import JsonSchema
from tests.evals.metrics.outcomes import outcome

SCHEMA = {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("output", "value", "why"),
    [
        ('{"a": 1}', 1, None),
        ('```json\n{"a": 1}\n```', 1, None),
        ('{"a": "1"}', 0, "not_kept"),
        ("Here it is: {}", 0, "no_json"),
        ("[" * 20_000, 0, "no_json"),
    ],
)
async def test_an_output_keeps_to_the_schema_or_does_not(output, value, why):
    found = await JsonSchema(schema=SCHEMA).score(outcome(output))
    assert (found.value, found.why) == (value, why)


async def test_the_schema_may_be_the_examples_own():
    assert (await JsonSchema().score(outcome('{"a": 1}', labels={"schema": SCHEMA}))).value == 1
    assert (await JsonSchema().score(outcome('{"a": 1}'))).why == "no_schema"
    elsewhere = {"$ref": "http://127.0.0.1:1/schema.json"}
    assert (await JsonSchema().score(outcome("{}", labels={"schema": elsewhere}))).why == "invalid_schema"


def test_a_block_of_code_counts_only_where_it_may():
    assert JsonSchema(schema=SCHEMA, fenced=False).signature != JsonSchema(schema=SCHEMA).signature


def test_a_schema_that_refers_elsewhere_is_refused():
    with pytest.raises(ValueError, match="schema"):
        JsonSchema(schema={"$ref": "http://127.0.0.1:1/schema.json"})
