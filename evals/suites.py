"""Suites: a dataset, what is asked with it, what the answers are scored by, and what has to come of it. YAML or JSON."""

import math
import re
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator, model_validator

from core.errors import InvalidRequest

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
#: Bytes of a suite's text.
MOST_BYTES = 256 * 2**10
#: What a suite may ask: capabilities that answer a question with a text.
Capability = Literal[
    "chat", "completion", "rag", "code/generate", "code/explain", "code/review", "code/fix", "code/tests", "code/translate"
]


#: Behind the `@` of an alias.
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _told_by_json(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """YAML has numbers that JSON, which suites are kept in, has not."""
    left: list[JsonValue] = [value]
    while left:
        one = left.pop()
        if isinstance(one, float) and not math.isfinite(one):
            raise ValueError("numbers are finite")
        left += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
    return value


Values = Annotated[dict[str, JsonValue], AfterValidator(_told_by_json)]


class Target(_Part):
    """What is asked: a capability by an alias of a model.

    An example's input is the body of the request, with `parameters` below it. With `template` it is one text instead, in which
    `{name}` stands for what the input has under that name; a chat is given it as the user's message, after `system`.
    """

    capability: Capability = "chat"
    alias: str = Field("default", min_length=1, max_length=128, description="`alias@3` names its version as well")
    version: int | None = Field(
        None,
        ge=1,
        le=2**31 - 1,
        description="of the alias, as the registry numbers it; none: the one that is live as a run is made",
    )
    template: str | None = Field(None, max_length=64_000)
    system: str | None = Field(None, max_length=64_000)
    parameters: Values = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _named_at_once(cls, given: Any) -> Any:
        if not isinstance(given, dict) or not isinstance(alias := given.get("alias"), str):
            return given
        name, at, number = alias.rpartition("@")
        if not at:
            return given
        if not name or not _NUMBER.fullmatch(number):
            raise ValueError("alias: behind the @ stands the number of a version")
        if given.get("version") not in (None, int(number)):
            raise ValueError("alias and version name different versions")
        return given | {"alias": name, "version": int(number)}


class MetricUse(_Part):
    """A metric with its options. `label` tells two uses of one metric apart."""

    name: str = Field(min_length=1, max_length=64)
    options: Values = Field(default_factory=dict)
    label: str = Field("", max_length=64, description="what it is called in thresholds and results; none: its name")

    @property
    def called(self) -> str:
        return self.label or self.name


class Threshold(_Part):
    """What a metric has to reach. Where more than `max_unmeasured` of the examples are unmeasured it does not hold, whatever
    the others say."""

    metric: str = Field(min_length=1, max_length=64, description="a metric's label")
    min: float | None = Field(None, allow_inf_nan=False)
    max: float | None = Field(None, allow_inf_nan=False)
    not_worse_than_baseline: bool = Field(
        False, description="the verdict against the baseline run, by paired statistics, is not `worse`"
    )
    effect: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="the smallest difference from the baseline that matters"
    )
    max_unmeasured: float = Field(0.0, ge=0, le=1, description="share of the examples")

    @model_validator(mode="after")
    def _asks_something(self) -> "Threshold":
        if self.min is None and self.max is None and not self.not_worse_than_baseline:
            raise ValueError("give min, max or not_worse_than_baseline")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is not above max")
        return self


class RunOptions(_Part):
    """How a run goes about it."""

    concurrency: int | None = Field(None, ge=1, le=64, description="examples that are asked at once; none: the setting")
    max_cost_usd: Decimal | None = Field(None, gt=0, max_digits=12, decimal_places=6, description="what a run may spend")
    reuse: bool = Field(True, description="an outcome of an earlier run counts, of the same input, parameters and version")
    repeat_interrupted: bool = Field(
        False, description="ask once more what a killed worker had asked: it may be paid for twice"
    )


class Suite(_Part):
    """An evaluation, whole."""

    name: str = Field(pattern=NAME_PATTERN)
    description: str = Field("", max_length=2000)
    dataset: str = Field(min_length=1, max_length=512, description="its name, or `name@number`; of the gate also a file")
    target: Target = Target()
    metrics: tuple[MetricUse, ...] = Field(max_length=50)
    thresholds: tuple[Threshold, ...] = Field((), max_length=100)
    alpha: float = Field(0.05, gt=0, lt=0.5, description="of all comparisons of a run with its baseline together")
    run: RunOptions = RunOptions()

    @field_validator("metrics", mode="before")
    @classmethod
    def _by_name_alone(cls, given: Any) -> Any:
        if not isinstance(given, list | tuple):
            return given
        return tuple({"name": one} if isinstance(one, str) else one for one in given)

    @property
    def needs_baseline(self) -> bool:
        return any(threshold.not_worse_than_baseline for threshold in self.thresholds)


def check_labels(suite: Suite, beside: Collection[str] = ()) -> Suite:
    """The suite, whose thresholds are for metrics of its own, or for those `beside` it.

    Raises:
        InvalidRequest: `invalid_suite`: a threshold is for none, two are called alike, or there is none at all.
    """
    labels = [*(metric.called for metric in suite.metrics), *beside]
    doubled = next((label for label in labels if labels.count(label) > 1), None)
    unknown = next((one.metric for one in suite.thresholds if one.metric not in labels), None)
    wrong = None
    if not labels:
        wrong = "it has no metric"
    elif doubled is not None:
        wrong = f"two metrics are called {doubled!r}: give one a label"
    elif unknown is not None:
        wrong = f"a threshold is for {unknown!r}, which is no metric of the suite"
    if wrong is not None:
        raise InvalidRequest(f"The suite: {wrong}.", code="invalid_suite")
    return suite


def parse(text: str) -> Suite:
    """The suite that a text describes, in YAML or JSON.

    Raises:
        InvalidRequest: `invalid_suite`; the message names the field and its line, `param` the field.
    """
    if len(text.encode()) > MOST_BYTES:
        raise InvalidRequest(f"A suite has {MOST_BYTES} bytes at most.", code="invalid_suite")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        value = _Plain(text).get_single_data()
    except RecursionError:
        raise InvalidRequest("The suite is nested too deeply.", code="invalid_suite") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise InvalidRequest(f"The suite is no YAML{where}: {_problem(error)}.", code="invalid_suite") from None
    if not isinstance(value, dict):
        raise InvalidRequest("The suite is no object of names and values.", code="invalid_suite")
    return check_labels(suite_of(value, root))


def suite_of(value: Mapping[str, Any], root: yaml.Node | None = None) -> Suite:
    """The same of what was parsed already, before its labels are checked; `root` tells the lines."""
    try:
        return Suite.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = [part for part in first["loc"] if part != "function-before[_by_name_alone()]"]
        field = ".".join(map(str, path))
        line = _line(root, path)
        where = f"Line {line}, {field or 'the suite'}" if line is not None else (field or "The suite")
        what = first["msg"].removeprefix("Value error, ")
        raise InvalidRequest(f"{where}: {what}.", code="invalid_suite", param=field or None) from None


def target_of(value: Mapping[str, Any]) -> Target:
    """Another target of a suite. Raises InvalidRequest (`invalid_suite`)."""
    try:
        return Target.model_validate(value)
    except ValidationError as error:
        what = error.errors(include_url=False, include_input=False)[0]["msg"].removeprefix("Value error, ")
        raise InvalidRequest(f"The target: {what}.", code="invalid_suite", param="alias") from None


def check_metrics(suite: Suite, table: Mapping[str, str]) -> None:
    """Raises InvalidRequest (`unknown_metric`): one that there is no plugin for."""
    for number, metric in enumerate(suite.metrics):
        if metric.name not in table:
            raise InvalidRequest(
                f"metrics.{number}.name: there is no metric {metric.name!r}; known are {', '.join(sorted(table))}.",
                code="unknown_metric",
                param=f"metrics.{number}.name",
            )


class _Plain(yaml.SafeLoader):
    """YAML without aliases, of which a few lines stand for gigabytes, and without a name that is given twice."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not taken", self.get_mark())
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        known = set()
        for key, _ in node.value:
            if key.value in known and isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
            known.add(key.value if isinstance(key, yaml.ScalarNode) else None)
        return super().construct_mapping(node, deep)


def _problem(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or "it cannot be read")


def _line(root: yaml.Node | None, path: list[int | str]) -> int | None:
    """The line, from 1, of the innermost part of the path that is there."""
    if root is None:
        return None
    node: yaml.Node = root
    for part in path:
        if isinstance(node, yaml.MappingNode):
            found = next((value for key, value in node.value if key.value == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = node.value[part]
        else:
            found = None
        if found is None:
            break
        node = found
    line: int = node.start_mark.line
    return line + 1
