"""Whether an output is JSON that keeps to a schema."""

import json
import re
from typing import Any, ClassVar

from pydantic import Field

from core.json_schemas import Unusable, fits
from evals.base import Outcome, Score
from evals.metrics.base import Options, Scoring

_FENCE = re.compile(r"^\s*```[\w+-]*\n(.*?)\n?```\s*$", re.S)


class SchemaOptions(Options):
    """`of` is the JSON schema (draft 2020-12, which refers to nothing outside of itself); none: the example's label `schema` is
    it. `fenced`: the output may stand between marks of a code block."""

    of: dict[str, Any] | None = Field(None, alias="schema")
    fenced: bool = True


class JsonSchema(Scoring):
    """1 where the output keeps to the schema, else 0."""

    name = "json_schema"
    options_type: ClassVar[type[Options]] = SchemaOptions

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if self.options.of is not None:
            try:
                fits(self.options.of, None)
            except Unusable:
                raise ValueError("schema: it refers to what is not in it, or has a pattern that RE2 cannot use") from None

    async def measure(self, outcome: Outcome) -> Score:
        schema = self.options.of if self.options.of is not None else outcome.example.labels.get("schema")
        if not isinstance(schema, dict):
            return Score.unmeasured("no_schema")
        fenced = _FENCE.match(outcome.output) if self.options.fenced else None
        try:
            value = json.loads(fenced[1] if fenced else outcome.output)
        except (ValueError, RecursionError):
            return Score(0.0, "no_json")
        try:
            kept = fits(schema, value)
        except Unusable:
            return Score.unmeasured("invalid_schema")
        return Score(float(kept), None if kept else "not_kept")
