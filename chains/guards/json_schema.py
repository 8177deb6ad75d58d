"""JSON schema: an answer must be a JSON document that fits. What it refers to is in the schema itself; nothing is fetched."""

from typing import Any, ClassVar, Final

import orjson
from pydantic import ConfigDict, Field

from chains.guards.base import Finding, Guard, Options
from core.json_schemas import holds, registry, validator
from core.policies.policy import Side

_LONGEST_SCHEMA: Final = 50_000


class SchemaOptions(Options):
    """`schema`: JSON Schema, draft 2020-12. `pattern` in it is RE2's; `patternProperties` is not taken."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: dict[str, Any] = Field(alias="schema")


class JSONSchema(Guard):
    """Objects to an answer that is no JSON, or does not fit."""

    options_type = SchemaOptions
    sides: ClassVar[frozenset[Side]] = frozenset({Side.OUTPUTS})
    usual: ClassVar[tuple[Side, ...]] = (Side.OUTPUTS,)
    whole: ClassVar[bool] = True

    def __init__(self, options: Options, models: Any) -> None:
        super().__init__(options, models)
        self._validator = validator()(self.options.schema_, registry=registry())

    @classmethod
    def check(cls, options: Any) -> None:
        import jsonschema
        import referencing.exceptions

        told = orjson.dumps(options.schema_)
        if len(told) > _LONGEST_SCHEMA:
            raise ValueError(f"schema: at most {_LONGEST_SCHEMA:,} bytes")
        if holds(options.schema_, "patternProperties"):
            raise ValueError("schema: patternProperties is not taken")
        try:
            validator().check_schema(options.schema_)
            validator()(options.schema_, registry=registry()).is_valid({})
        except jsonschema.SchemaError:
            raise ValueError("schema: this is no JSON schema of draft 2020-12") from None
        except (referencing.exceptions.Unresolvable, RecursionError, ValueError):
            raise ValueError("schema: it refers to what is not in it, or holds a pattern that RE2 cannot use") from None

    async def read(self, text: str) -> Finding | None:
        try:
            value = orjson.loads(str(text))
        except orjson.JSONDecodeError:
            return Finding("no_json")
        try:
            return None if self._validator.is_valid(value) else Finding("does_not_fit")
        except RecursionError:
            return Finding("does_not_fit")
