"""Every resource, data source, argument and attribute of Terraform, against the providers' published schemas."""

from collections import defaultdict
from collections.abc import Iterator

from infra.lint import hcl
from infra.lint.finding import Finding
from infra.lint.provider_schemas import PROVIDERS, Argument, Schema, Schemas
from infra.lint.stacks import modules
from infra.lint.tree import Tree

#: Arguments and blocks that Terraform itself gives to every resource.
_META_ARGUMENTS = {"count", "for_each", "provider", "depends_on"}
_META_BLOCKS = {"lifecycle", "connection", "provisioner", "timeouts"}
_LITERALS: dict[str, tuple[type, ...]] = {"string": (str, int, float), "number": (int, float, str), "boolean": (bool, str)}


def check(tree: Tree) -> Iterator[Finding]:
    """Whatever a provider would refuse before it asks its cloud anything, so far as the schemas tell."""
    things = [(module, block) for module in modules(tree) for block in module.things.values()]
    wanted: dict[str, set[str]] = defaultdict(set)
    for _, block in things:
        wanted[_provider(block)].add(_name(block))
    schemas = {}
    for provider, names in wanted.items():
        if provider in PROVIDERS:
            schemas[provider] = Schemas(provider)
            schemas[provider].load(names)
    for _, block in things:
        schema = schemas[_provider(block)][_name(block)] if _provider(block) in schemas else None
        if schema is None:
            yield Finding(tree.relative(block.path), block.line, f"no provider has the {block.kind} {block.labels[0]}")
            continue
        for line, message in _body(block, schema, "config", block.labels[0]):
            yield Finding(tree.relative(block.path), line, message)
    for module in modules(tree):
        for block in module.blocks:
            for attribute in block.everything():
                for reference in hcl.references(attribute.text):
                    if wrong := _unread(reference, module, schemas):
                        yield Finding(tree.relative(block.path), attribute.line, wrong)


def _provider(block: hcl.Block) -> str:
    return block.labels[0].partition("_")[0]


def _name(block: hcl.Block) -> str:
    """As `Schemas` names it. An ephemeral resource takes what the resource or data source of its name takes."""
    kind = block.labels[0]
    return f"data.{kind}" if block.kind == "data" else kind


def _body(block: hcl.Block, schema: Schema, structure: str, where: str) -> Iterator[tuple[int, str]]:
    arguments = schema.arguments[structure]
    outermost = structure == "config"
    for attribute in block.attributes.values():
        argument = arguments.get(attribute.name)
        if argument is None:
            if not (outermost and attribute.name in _META_ARGUMENTS):
                yield attribute.line, f"{where} has no argument {attribute.name}"
        elif argument.block:
            yield attribute.line, f"{where}: {attribute.name} is a block, and is written without ="
        else:
            yield from _value(attribute, argument, where)
    inner = _inner(block, _META_BLOCKS if outermost else set())
    for name, children in inner.items():
        yield from _blocks(children, name, schema, arguments.get(name), where)
    for name, argument in arguments.items():
        if argument.required and name not in block.attributes and name not in inner:
            yield block.line, f"{where} needs {name}"


def _inner(block: hcl.Block, apart: set[str]) -> dict[str, list[hcl.Block]]:
    """The blocks in a block by their kinds; dynamic ones by what they make."""
    inner: dict[str, list[hcl.Block]] = defaultdict(list)
    for child in block.blocks:
        if child.kind == "dynamic":
            inner[child.labels[0]].extend(child.of("content"))
        elif child.kind not in apart:
            inner[child.kind].append(child)
    return inner


def _blocks(
    children: list[hcl.Block], name: str, schema: Schema, argument: Argument | None, where: str
) -> Iterator[tuple[int, str]]:
    if argument is None or not (argument.structure or argument.block or argument.holds == "any"):
        yield children[0].line, f"{where} has no block {name}"
        return
    if not (argument.block or argument.holds == "any"):
        yield children[0].line, f"{where}: {name} is an argument, and is written with ="
    if len(children) > 1 and not argument.many and not any(child.kind == "content" for child in children):
        yield children[1].line, f"{where} takes one block {name} at most"
    for child in children if argument.structure else ():  # WAF's statements hold each other, and are not described
        yield from _body(child, schema, argument.structure, f"{where}.{name}")


def _value(attribute: hcl.Attribute, argument: Argument, where: str) -> Iterator[tuple[int, str]]:
    literal = attribute.literal
    if literal is not None:
        expected = _LITERALS.get(argument.holds) if argument.kind == "simple" else None
        if argument.kind in ("list", "set", "map"):
            yield attribute.line, f"{where}: {attribute.name} is a {argument.kind}"
        elif expected and not (isinstance(literal, expected) and _reads_as(literal, argument.holds)):
            yield attribute.line, f"{where}: {attribute.name} is a {argument.holds}"
    elif argument.kind == "simple" and argument.holds in _LITERALS and isinstance(attribute.value, (list, dict)):
        yield attribute.line, f"{where}: {attribute.name} is a {argument.holds}"


def _reads_as(literal: str | float, kind: str) -> bool:
    text = str(literal).lower()
    if kind == "number":
        return text.replace(".", "", 1).removeprefix("-").isdigit()
    return kind != "boolean" or text in ("true", "false")


def _unread(reference: tuple[str, ...], module: hcl.Module, schemas: dict[str, Schemas]) -> str | None:
    """What is wrong with the attribute that a reference reads; None where nothing is, or it is no reference to a resource."""
    kind, steps = ("resource", reference) if reference[0] not in ("data", "ephemeral") else (reference[0], reference[1:])
    if len(steps) < 3 or (kind, steps[0], steps[1]) not in module.things:
        return None
    block = module.things[kind, steps[0], steps[1]]
    provider = _provider(block)
    schema = schemas[provider][_name(block)] if provider in schemas else None
    several = "for_each" in block.attributes or "count" in block.attributes
    rest = list(steps[2:])
    if several and rest[0] != hcl.INDEX:
        return f"{steps[0]}.{steps[1]} is there several times, and is named without an index"
    if not several and rest[0] == hcl.INDEX:
        return f"{steps[0]}.{steps[1]} is there once, and is named with an index"
    if schema is None:
        return None
    place: str | None = schema.outermost
    for step in rest[1:] if several else rest:
        if not place:
            return None
        if step == hcl.INDEX:
            place = schema.readable[place].get("[]", place)
        else:
            place = schema.readable[place].get("[]", place)
            found = schema.reads(place, step)
            if found is None:
                return f"{steps[0]} has no attribute {step}"
            place = found
    return None
