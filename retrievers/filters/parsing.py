"""From the JSON that a caller writes to a filter, or to a sentence about what is wrong with it."""

from collections.abc import Mapping
from math import isfinite
from typing import Any, NoReturn

from core.errors import InvalidRequest
from core.shown_names import shown
from retrievers.filters.expressions import And, Compare, Filter, Not, Operator, Or, Scalar

#: How deep `and`, `or` and `not` may be in each other, how many conditions there may be, and how many values in all of them.
MOST_LEVELS = 8
MOST_CONDITIONS = 100
MOST_VALUES = 1000
#: No document has an attribute with a longer name, nor a longer value (`retrievers.intake`).
LONGEST_NAME = 1000
LONGEST_TEXT = 4000

_NOT_EQUAL = "ne"
_OPERATORS = ("eq", _NOT_EQUAL, "lt", "lte", "gt", "gte", "in", "exists", "contains")
_ORDERS = frozenset({Operator.LT, Operator.LTE, Operator.GT, Operator.GTE})


def parse(given: Mapping[str, Any] | Filter | None) -> Filter | None:
    """The filter; None for an empty one. One that was parsed is given back as it is.

    Raises:
        InvalidRequest: `invalid_filter`: it is none; the message says where and why.
    """
    if given is None or isinstance(given, And | Or | Not | Compare):
        return given
    if isinstance(given, Mapping) and not given:
        return None
    return _Parser().filter(given, "", 0)


class _Parser:
    """One filter's parts, counted."""

    def __init__(self) -> None:
        self._conditions = self._values = 0

    def filter(self, given: object, place: str, level: int) -> Filter:
        if not isinstance(given, Mapping):
            _refuse(place, "a filter maps names to values, or to operators")
        if not given:
            _refuse(place, "there is no condition in it")
        if level > MOST_LEVELS:
            _refuse("", f"and, or and not are more than {MOST_LEVELS} levels deep")
        parts = tuple(self._entry(name, value, place, level) for name, value in given.items())
        return parts[0] if len(parts) == 1 else And(parts)

    def _entry(self, name: object, value: object, place: str, level: int) -> Filter:
        if not isinstance(name, str) or not name or len(name) > LONGEST_NAME or not _is_text(name):
            _refuse(place, "a name is a text of 1 to 1,000 characters")
        place = f"{place}.{shown(name)}" if place else shown(name)
        if name in ("and", "or") and isinstance(value, list | tuple):
            if not value:
                _refuse(place, "there is no condition in it")
            parts = tuple(self.filter(part, f"{place}[{number}]", level + 1) for number, part in enumerate(value))
            return And(parts) if name == "and" else Or(parts)
        if name == "not" and isinstance(value, Mapping):
            return Not(self.filter(value, place, level + 1))
        if not isinstance(value, Mapping):
            return self._compare(name, Operator.EQ, value, place)
        if not value:
            _refuse(place, f"give an operator, one of {_listed()}")
        parts = tuple(self._operation(name, operator, operand, place) for operator, operand in value.items())
        return parts[0] if len(parts) == 1 else And(parts)

    def _operation(self, name: str, operator: object, operand: object, place: str) -> Filter:
        if operator not in _OPERATORS:
            _refuse(place, f"“{shown(operator)}” is no operator; there are {_listed()}")
        place = f"{place}.{operator}"
        if operator == _NOT_EQUAL:
            return Not(self._compare(name, Operator.EQ, operand, place))
        if operator == Operator.EXISTS:
            if not isinstance(operand, bool):
                _refuse(place, "it takes true or false")
            compare = self._compare(name, Operator.EXISTS, True, place)
            return compare if operand else Not(compare)
        return self._compare(name, Operator(operator), operand, place)

    def _compare(self, name: str, operator: Operator, value: object, place: str) -> Compare:
        self._conditions += 1
        if self._conditions > MOST_CONDITIONS:
            _refuse("", f"it has more than {MOST_CONDITIONS} conditions")
        if operator is Operator.IN:
            if not isinstance(value, list | tuple):
                _refuse(place, "it takes a list of texts, numbers, true or false")
            return Compare(name, operator, tuple(self._scalar(each, place) for each in value))
        scalar = self._scalar(value, place)
        if operator is Operator.CONTAINS and (not isinstance(scalar, str) or not scalar):
            _refuse(place, "it takes a text")
        if operator in _ORDERS and isinstance(scalar, bool):
            _refuse(place, "it takes a number or a text")
        return Compare(name, operator, scalar)

    def _scalar(self, value: object, place: str) -> Scalar:
        self._values += 1
        if self._values > MOST_VALUES:
            _refuse("", f"it has more than {MOST_VALUES} values")
        why = "it takes a text, a number, true or false"
        match value:
            case str() if len(value) > LONGEST_TEXT or not _is_text(value):
                why = "a text has at most 4,000 characters, without NUL and without half of a pair of surrogates"
            case int() if abs(value) >= 2**63:
                why = "the number is out of range"
            case float() if not isfinite(value):
                why = "the number is out of range"
            case str() | int() | float():
                return value
            case list() | tuple():
                why = "it is a list; write {“in”: […]} for one of several values"
            case None:
                why = "it is null; write {“exists”: false} for what is not there"
        return _refuse(place, why)


def _is_text(value: str) -> bool:
    """No chunk has anything else: neither NUL nor half of a pair of surrogates."""
    return not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in value)


def _listed() -> str:
    return ", ".join(_OPERATORS)


def _refuse(place: str, why: str) -> NoReturn:
    where = f"“{place}” of the filter" if place else "The filter"
    raise InvalidRequest(f"{where} cannot be used: {why}.", code="invalid_filter", param="filter")
