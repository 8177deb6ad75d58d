"""What a live stack's literals make of its outputs, as far as that can be known before an apply.

Values are Python's: str, numbers, bool, None, lists, dicts; `UNKNOWN` is what only the cloud says, and GAP stands for it in a
string or, as an item, for one or more of a list. A resource or a data source is a `Thing`.
"""

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.lint import hcl
from infra.lint.expressions import Node, Unreadable, parse

#: What is not known, within a string.
GAP = "\0"
_KINDS = {"data": "data", "ephemeral": "ephemeral"}


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()
Value = Any
#: What a cloud says of a resource's attribute: (type, attribute) -> from its arguments, and from what is known of the account.
Says = Mapping[tuple[str, str], Callable[["Thing"], Value]]


def matches(known: Value, said: str) -> bool:
    """Whether a text can be what a value will be. UNKNOWN is anything but nothing."""
    if known is UNKNOWN or isinstance(known, Thing):
        return said != ""
    text = known if isinstance(known, str) else json.dumps(known)
    return re.fullmatch(".+".join(map(re.escape, text.split(GAP))), said, re.DOTALL) is not None


@dataclass(eq=False)
class Thing:
    """One instance of a resource or data source."""

    block: hcl.Block
    scope: "Scope"
    each: Mapping[str, Value]

    @property
    def type(self) -> str:
        return self.block.labels[0]

    def get(self, name: str) -> Value:
        """An argument, or what the cloud says of it; an `id` that is not known is the thing itself."""
        if name in self.block.attributes:
            return self.scope.of(self.block.attributes[name], self.each)
        told = self.scope.says.get((self.type, name))
        if told is not None:
            return told(self)
        return self if name == "id" else UNKNOWN

    def text(self, name: str) -> str:
        """The same within a string."""
        return _text(self.get(name))


@dataclass(eq=False)
class Scope:
    """A module as it is called: its variables' values, and what is known of where it is applied (`account`, `region`…)."""

    module: hcl.Module
    says: Says
    place: Mapping[str, str]
    modules: Callable[[Path], hcl.Module]
    given: Mapping[str, Callable[[], Value]] = field(default_factory=dict)
    #: Arguments of this module's calls that are taken to be others than are written.
    instead: Mapping[str, Value] = field(default_factory=dict)
    _known: dict[object, Value] = field(default_factory=dict)

    def output(self, name: str) -> Value:
        """An output's value; UNKNOWN where the module has none of the name."""
        block = self.module.outputs.get(name)
        return UNKNOWN if block is None else self._once(("output", name), lambda: self.of(block.attributes["value"], {}))

    def of(self, attribute: hcl.Attribute, names: Mapping[str, Value]) -> Value:
        """An attribute's value, with the names of `for` and `each` that hold there."""
        try:
            return self._value(parse(attribute.text), names)
        except Unreadable:
            return UNKNOWN

    def _once(self, key: object, compute: Callable[[], Value]) -> Value:
        if key not in self._known:
            self._known[key] = UNKNOWN  # what waits for itself is not known
            self._known[key] = compute()
        return self._known[key]

    def _value(self, node: Node, names: Mapping[str, Value]) -> Value:
        return getattr(self, f"_{node.kind}")(node.parts, names)

    def _literal(self, parts: Any, names: Mapping[str, Value]) -> Value:
        return parts[0]

    def _template(self, parts: Any, names: Mapping[str, Value]) -> Value:
        if len(parts) == 3 and parts[0] == parts[2] == "":
            return self._value(parts[1], names)
        return "".join(part if isinstance(part, str) else _text(self._value(part, names)) for part in parts)

    def _name(self, parts: Any, names: Mapping[str, Value]) -> Value:
        return names.get(parts[0], UNKNOWN)

    def _member(self, parts: Any, names: Mapping[str, Value]) -> Value:
        path = _path(parts)
        if path and path[0] not in names:
            found = self._named(path)
            if found is not _NOT_THERE:
                return found
        return _step(self._value(parts[0], names), parts[1])

    def _index(self, parts: Any, names: Mapping[str, Value]) -> Value:
        return _step(self._value(parts[0], names), self._value(parts[1], names))

    def _splat(self, parts: Any, names: Mapping[str, Value]) -> Value:
        of = self._value(parts[0], names)
        return _Each(of) if isinstance(of, list) else UNKNOWN

    def _call(self, parts: Any, names: Mapping[str, Value]) -> Value:
        function = _FUNCTIONS.get(parts[0])
        arguments = [self._value(argument, names) for argument in parts[1]]
        if function is None or (parts[0] not in _LENIENT and any(map(_is_open, arguments))):
            return UNKNOWN
        return function(*arguments)

    def _list(self, parts: Any, names: Mapping[str, Value]) -> Value:
        return [self._value(item, names) for item in parts]

    def _object(self, parts: Any, names: Mapping[str, Value]) -> Value:
        return {_text(self._value(key, names)): self._value(value, names) for key, value in parts}

    def _for(self, parts: Any, names: Mapping[str, Value]) -> Value:
        called, source, key, value, condition = parts
        found = self._value(source, names)
        if not isinstance(found, (list, dict)):
            return UNKNOWN
        pairs = list(found.items() if isinstance(found, dict) else enumerate(found))
        items: list[tuple[Value, Value]] = []
        for number, item in pairs:
            inner = {**names, called[-1]: item} | ({called[0]: number} if len(called) > 1 else {})
            taken = True if condition is None else self._value(condition, inner)
            if taken is UNKNOWN:
                return UNKNOWN
            if taken:
                items.append((None if key is None else self._value(key, inner), self._value(value, inner)))
        return [item for _, item in items] if key is None else {_text(named): item for named, item in items}

    def _unary(self, parts: Any, names: Mapping[str, Value]) -> Value:
        of = self._value(parts[1], names)
        return UNKNOWN if _is_open(of) else (not of if parts[0] == "!" else -of)

    def _binary(self, parts: Any, names: Mapping[str, Value]) -> Value:
        sign, left, right = parts[0], self._value(parts[1], names), self._value(parts[2], names)
        if sign in ("&&", "||") and (deciding := sign == "||") in (left, right):
            return deciding
        if sign in ("==", "!=") and (left is None or right is None) and UNKNOWN not in (left, right):
            return (left is right) is (sign == "==")
        return UNKNOWN if _is_open(left) or _is_open(right) else _SIGNS[sign](left, right)

    def _choice(self, parts: Any, names: Mapping[str, Value]) -> Value:
        condition = self._value(parts[0], names)
        return UNKNOWN if _is_open(condition) else self._value(parts[1] if condition else parts[2], names)

    def _named(self, path: tuple[str, ...]) -> Value:
        """`var.x`, `local.x`, `module.x`, `type.name` and `data.type.name`."""
        if path[0] == "var" and len(path) == 2:
            return self._once(path, lambda: self._variable(path[1]))
        if path[0] == "local" and len(path) == 2:
            found = self.module.locals.get(path[1])
            return UNKNOWN if found is None else self._once(path, lambda: self.of(found[1], {}))
        if path[0] == "module" and len(path) == 2:
            call = self.module.calls.get(path[1])
            return UNKNOWN if call is None else self._once(path, lambda: self._called(call))
        kind, *labels = path if path[0] in _KINDS else ("resource", *path)
        block = self.module.things.get((kind, *labels)) if len(labels) == 2 else None  # type: ignore[arg-type]
        return _NOT_THERE if block is None else self._once(path, lambda: self._instances(block))

    def _variable(self, name: str) -> Value:
        if name in self.given:
            return self.given[name]()
        block = self.module.variables.get(name)
        default = block.attributes.get("default") if block else None
        return UNKNOWN if default is None else self.of(default, {})

    def _called(self, call: hcl.Block) -> Value:
        def given(attribute: hcl.Attribute, each: Mapping[str, Value]) -> Callable[[], Value]:
            return lambda: self.of(attribute, each)

        module = self.modules(self.module.source(call))
        found = (
            re.search(r"\baws\s*=\s*aws\.([\w-]+)", call.attributes["providers"].text)
            if "providers" in call.attributes
            else None
        )
        place = {**self.place, "region": self.place.get(f"region.{found[1]}", "")} if found else self.place
        instead = {name: (lambda value=value: value) for name, value in self.instead.items() if name in module.variables}

        def scope(each: Mapping[str, Value]) -> Scope:
            arguments = {name: given(attribute, each) for name, attribute in call.attributes.items()}
            return Scope(module, self.says, place, self.modules, arguments | instead)

        return self._many(call, scope)

    def _instances(self, block: hcl.Block) -> Value:
        return self._many(block, lambda each: Thing(block, self, each))

    def _many(self, block: hcl.Block, make: Callable[[Mapping[str, Value]], Value]) -> Value:
        """One, a list by `count`, a dict by `for_each`."""
        if "count" in block.attributes:
            count = self.of(block.attributes["count"], {})
            return [make({"count": {"index": number}}) for number in range(count)] if isinstance(count, int) else UNKNOWN
        if "for_each" in block.attributes:
            of = self.of(block.attributes["for_each"], {})
            pairs = of.items() if isinstance(of, dict) else [(item, item) for item in of] if isinstance(of, list) else None
            return UNKNOWN if pairs is None else {key: make({"each": {"key": key, "value": value}}) for key, value in pairs}
        return make({})


class _Each(list[Value]):
    """A list whose members are asked one by one."""


_NOT_THERE = object()


def _path(parts: Any) -> tuple[str, ...]:
    """`a.b.c` as its names; empty where there is more in it."""
    before, last = parts
    if before.kind == "name":
        return (before.parts[0], last)
    inner = _path(before.parts) if before.kind == "member" else ()
    return (*inner, last) if inner else ()


def _step(of: Value, key: Value) -> Value:
    if isinstance(of, _Each):
        return _Each(_step(item, key) for item in of)
    if isinstance(of, Scope):
        return of.output(str(key))
    if isinstance(of, Thing):
        return of.get(str(key))
    if isinstance(of, dict):
        return of.get(key, UNKNOWN)
    if isinstance(of, list) and isinstance(key, int) and key < len(of):
        return of[key]
    return UNKNOWN


def _is_open(value: Value) -> bool:
    """Whether anything in it is not known."""
    if isinstance(value, dict):
        return any(map(_is_open, value.values()))
    if isinstance(value, list):
        return any(map(_is_open, value))
    return isinstance(value, (_Unknown, Thing, Scope)) or (isinstance(value, str) and GAP in value)


def _text(value: Value) -> str:
    if isinstance(value, str):
        return value
    return GAP if isinstance(value, (_Unknown, Thing, Scope, list, dict)) or value is None else json.dumps(value)


def _concat(*lists: Value) -> Value:
    return [item for part in lists for item in (part if isinstance(part, list) else [UNKNOWN])]


def _encoded(value: Value) -> str:
    gap = json.dumps(GAP)
    return json.dumps(value, separators=(",", ":"), default=lambda _: GAP).replace(gap, GAP).replace(gap.strip('"'), GAP)


def _merge(*maps: Value) -> Value:
    return {k: v for part in maps for k, v in part.items()} if all(isinstance(part, dict) for part in maps) else UNKNOWN


def _subnet(network: str, bits: int, number: int) -> str:
    whole = ipaddress.ip_network(network)
    size = 2 ** (whole.max_prefixlen - whole.prefixlen - bits)
    return f"{whole.network_address + number * size}/{whole.prefixlen + bits}"


_FUNCTIONS: Mapping[str, Callable[..., Value]] = {
    "cidrsubnet": _subnet,
    "concat": _concat,
    "contains": lambda items, item: item in items,
    "join": lambda between, items: between.join(items),
    "jsonencode": _encoded,
    "keys": lambda of: sorted(of) if isinstance(of, dict) else UNKNOWN,
    "length": len,
    "lower": str.lower,
    "merge": _merge,
    "one": lambda items: (items[0] if items else None) if isinstance(items, list) else UNKNOWN,
    "replace": lambda text, old, new: text.replace(old, new),
    "substr": lambda text, start, length: text[start : start + length],
    "toset": lambda items: list(dict.fromkeys(items)) if isinstance(items, list) else UNKNOWN,
    "trimsuffix": lambda text, end: text.removesuffix(end) if isinstance(text, str) else UNKNOWN,
    "upper": str.upper,
    "values": lambda of: [of[key] for key in sorted(of)] if isinstance(of, dict) else UNKNOWN,
}
#: Functions that make something of what is known in part.
_LENIENT = frozenset({"concat", "jsonencode", "keys", "merge", "one", "toset", "trimsuffix", "values"})
_SIGNS: Mapping[str, Callable[[Any, Any], Value]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "&&": lambda a, b: a and b,
    "||": lambda a, b: a or b,
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "%": lambda a, b: a % b,
}
