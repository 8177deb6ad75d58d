"""Filters in SQL, all of them, as `retrievers.filters.matches` means them: every condition is true or false, never NULL.

Attributes are one `jsonb` object. Its numbers are decimal and compared exactly, texts by code points (`COLLATE "C"`).
"""

import json
from collections.abc import Mapping
from typing import Any, LiteralString

from psycopg.sql import SQL, Composable

from retrievers.filters import RESERVED, And, Compare, Filter, Not, Operator, Or, Scalar

_ORDERS: Mapping[Operator, LiteralString] = {Operator.LT: "<", Operator.LTE: "<=", Operator.GT: ">", Operator.GTE: ">="}
_NEVER = SQL("false")


class Condition:
    """The condition on a row, and the values of its placeholders in their order."""

    def __init__(self, filter: Filter) -> None:
        self.values: list[Any] = []
        self.sql = self._of(filter)

    def _of(self, filter: Filter) -> Composable:
        match filter:
            case And():
                return SQL("({})").format(SQL(" AND ").join([self._of(part) for part in filter.parts]))
            case Or():
                return SQL("({})").format(SQL(" OR ").join([self._of(part) for part in filter.parts]))
            case Not():
                return SQL("NOT {}").format(self._of(filter.part))
        if filter.name == "page":
            return self._of_page(filter)
        return self._of_text_column(filter) if filter.name in RESERVED else self._of_attribute(filter)

    def _of_attribute(self, compare: Compare) -> Composable:
        name, value = compare.name, compare.value
        match compare.operator:
            case Operator.EQ:  # in this form an index finds it
                return self._with("attributes @> %s::jsonb", json_of({name: value}))
            case Operator.IN:
                wanted = [json_of(each) for each in compare.scalars]
                return self._with("coalesce(attributes -> %s::text = ANY(%s::jsonb[]), false)", name, wanted)
            case Operator.EXISTS:
                kinds = ["string", "number", "boolean"]
                return self._with("coalesce(jsonb_typeof(attributes -> %s::text) = ANY(%s::text[]), false)", name, kinds)
            case Operator.CONTAINS:
                return self._of_kind("string", name, self._with("strpos(attributes ->> %s::text, %s::text) > 0", name, value))
        order = SQL(_ORDERS[compare.operator])
        if isinstance(value, str):
            text = SQL('(attributes ->> %s::text) COLLATE "C" {} %s::text').format(order)
            return self._of_kind("string", name, self._with(text, name, value))
        number = SQL("(attributes ->> %s::text)::numeric {} %s::numeric").format(order)
        return self._of_kind("number", name, self._with(number, name, _decimal(compare.scalar)))

    def _of_kind(self, kind: LiteralString, name: str, condition: Composable) -> Composable:
        """CASE, because AND may be evaluated in any order, and a text that is no number cannot be made one."""
        self.values.insert(len(self.values) - 2, name)  # before the condition's two
        return SQL("CASE WHEN jsonb_typeof(attributes -> %s::text) = {} THEN {} ELSE false END").format(kind, condition)

    def _of_text_column(self, compare: Compare) -> Composable:
        column = SQL("document") if compare.name == "document" else SQL("document_id")
        texts = [each for each in compare.scalars if isinstance(each, str)]
        if compare.operator is Operator.EXISTS:
            return SQL("true")
        if not texts:
            return _NEVER
        if compare.operator is Operator.CONTAINS:
            return self._with(SQL("strpos({}, %s::text) > 0").format(column), texts[0])
        if compare.operator in (Operator.EQ, Operator.IN):
            return self._with(SQL("{} = ANY(%s::text[])").format(column), texts)
        order = SQL(_ORDERS[compare.operator])
        return self._with(SQL('{} COLLATE "C" {} %s::text').format(column, order), texts[0])

    def _of_page(self, compare: Compare) -> Composable:
        if compare.operator is Operator.EXISTS:
            return SQL("page IS NOT NULL")
        numbers = [_decimal(each) for each in compare.scalars if not isinstance(each, str | bool)]
        if not numbers or compare.operator is Operator.CONTAINS:
            return _NEVER
        if compare.operator in (Operator.EQ, Operator.IN):
            return self._with("coalesce(page = ANY(%s::numeric[]), false)", numbers)
        return self._with(SQL("coalesce(page {} %s::numeric, false)").format(SQL(_ORDERS[compare.operator])), numbers[0])

    def _with(self, sql: LiteralString | Composable, *values: Any) -> Composable:
        self.values.extend(values)
        return sql if isinstance(sql, Composable) else SQL(sql)


def json_of(value: Any) -> str:
    """A value as `jsonb` takes it: no NUL in it, and whole numbers as whole numbers, whose decimal form is exact."""
    return json.dumps(_storable(value), ensure_ascii=False, default=str)


def number_kinds(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as they were given: a number that is too large for a whole one was none; `jsonb` writes it out."""
    return {
        name: float(value) if isinstance(value, int) and abs(value) >= 2**63 else value for name, value in attributes.items()
    }


def clean(text: str) -> str:
    """PostgreSQL keeps no NUL and no half of a pair of surrogates; loaders leave none in a text either."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(name)): _storable(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(each) for each in value]
    return _whole(value) if isinstance(value, float) else value


def _decimal(value: Scalar) -> str:
    return repr(_whole(value) if isinstance(value, float) else value)


def _whole(value: float) -> int | float:
    return int(value) if value.is_integer() and abs(value) < 2**63 else value
