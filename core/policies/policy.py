"""A tenant's policies as data: their form, and the questions that are asked of them.

Sections that a tenant leaves out are the deployment's own (`GENAI_POLICIES__…`). All models are frozen, so that one policy is
shared by every request of its tenant.
"""

from collections.abc import Iterable
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Self

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, field_validator, model_validator

from core.policies.origins import Origin
from core.policies.retention import RetentionPolicy
from core.redaction.entities import PIIType

#: Stands for every capability, and for every alias.
EVERY = "*"
MAX_RULES = 50
LOCAL = "local"
#: Work that no caller asks for by name, and the capability that it is a part of.
_WORK_FOR: Final = {"ingestion": "rag"}

Name = Annotated[str, StringConstraints(min_length=1, max_length=128, strip_whitespace=True)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PIIMode(StrEnum):
    """What is done with personal data. `off` lets a type through that a later rule would handle."""

    OFF = "off"
    DETECT = "detect"
    REDACT = "redact"
    PSEUDONYMISE = "pseudonymise"
    BLOCK = "block"


class Place(StrEnum):
    """Where personal data is looked for: in what goes to a model, in passages that were found, in what comes back to the
    caller, and in what the platform writes down."""

    PROMPTS = "prompts"
    RETRIEVED = "retrieved"
    ANSWERS = "answers"
    LOGS = "logs"


class PIIRule(_Part):
    """What is done with some types of personal data in some places."""

    mode: PIIMode
    types: Annotated[tuple[PIIType, ...], Field(min_length=1)] | None = Field(None, description="these alone; empty: all")
    on: Annotated[tuple[Place, ...], Field(min_length=1)] = Field(
        (Place.PROMPTS, Place.RETRIEVED), description="prompts, retrieved, answers, logs"
    )


def _as_rules(value: Any) -> Any:
    """A rule alone is a list of one, and the name of its mode is a rule."""
    rules = value if isinstance(value, (list, tuple)) else [value]
    return [{"mode": rule} if isinstance(rule, str) else rule for rule in rules]


PIIRules = Annotated[tuple[PIIRule, ...], BeforeValidator(_as_rules), Field(max_length=MAX_RULES)]


class GuardMode(StrEnum):
    """`monitor` reports and lets through."""

    OFF = "off"
    MONITOR = "monitor"
    BLOCK = "block"


class Side(StrEnum):
    """What a guard reads: what callers send, passages that were found, what models answer."""

    INPUTS = "inputs"
    RETRIEVED = "retrieved"
    OUTPUTS = "outputs"


class GuardRule(_Part):
    """A guard, where it stands, and what happens when it finds something. `options` are the guard's own."""

    guard: Name = Field(description="its name in the table of guards")
    mode: GuardMode = GuardMode.BLOCK
    on: Annotated[tuple[Side, ...], Field(min_length=1)] | None = Field(
        None, description="inputs, retrieved, outputs; empty: where the guard is made for"
    )
    aliases: Annotated[tuple[Name, ...], Field(min_length=1)] = Field((EVERY,), description="of models; * is every one")
    capabilities: Annotated[tuple[Name, ...], Field(min_length=1)] = Field((EVERY,), description="* is every one")
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("options", mode="before")
    @classmethod
    def _of_json(cls, value: Any) -> Any:
        """A text is JSON: TOML has no null, which a JSON schema may hold."""
        if not isinstance(value, str):
            return value
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise ValueError("a text has to be JSON") from error

    def applies(self, alias: str, capability: str) -> bool:
        """Whether it stands before this alias in this capability."""
        return _names(self.aliases, alias) and _names(self.capabilities, capability, _family(capability))


class DataPolicy(_Part):
    """Who may see a tenant's data. None is no limit. The models on this machine may, unless `exclude` names `local`."""

    providers: tuple[Name, ...] | None = Field(
        None, description="providers by name; `azure` is also every `azure:…`. Empty list: none but the local models"
    )
    regions: tuple[Name, ...] | None = Field(
        None, description="regions by name; `eu-*` is all that begin so. A deployment whose region is not known is left out"
    )
    exclude: tuple[Name, ...] = Field((), description="providers that may not, whatever else is said")

    def admits(self, provider: str, region: str | None, *, here: bool) -> bool:
        """Whether a deployment may see the data. `here`: it runs on this machine."""
        if any(_is_provider(name, provider) for name in self.exclude):
            return False
        if here:
            return True
        if self.providers is not None and not any(_is_provider(name, provider) for name in self.providers):
            return False
        return self.regions is None or (region is not None and any(_is_region(name, region) for name in self.regions))


class BrowserPolicy(_Part):
    """Which other sites' pages may call the API from a browser."""

    origins: Annotated[tuple[Origin, ...], Field(max_length=MAX_RULES)] = Field(
        (), description="exactly, as https://app.example.com; there are no wildcards"
    )


#: Of a tenant whose policy cannot be read: nobody sees its data until it can.
NOBODY = DataPolicy(providers=(), exclude=(LOCAL,))


class Policy(_Part):
    """All of a tenant's policies."""

    pii: dict[Name, PIIRules] = Field(default_factory=dict, description="by capability; * is every one that is not named")
    guards: Annotated[tuple[GuardRule, ...], Field(max_length=MAX_RULES)] = ()
    data: DataPolicy = DataPolicy()
    browsers: BrowserPolicy = BrowserPolicy()
    retention: RetentionPolicy = RetentionPolicy()

    @model_validator(mode="after")
    def _no_rule_never_holds(self) -> Self:
        for capability, rules in self.pii.items():
            told: set[Place] = set()
            for rule in rules:
                if never := [place for place in rule.on if place in told]:
                    raise ValueError(f"pii.{capability}: a rule on {never[0]} comes after one for all types and never holds")
                if rule.types is None:
                    told |= set(rule.on)
        return self

    @cached_property
    def nothing(self) -> bool:
        """Whether nothing is asked for."""
        return not self.handles_pii and not self.guarded and not self.limits_data

    @cached_property
    def limits_data(self) -> bool:
        """Whether anybody may not see the data."""
        return self.data != DataPolicy()

    @cached_property
    def handles_pii(self) -> bool:
        """Whether any rule looks for personal data."""
        return any(rule.mode is not PIIMode.OFF for rules in self.pii.values() for rule in rules)

    @cached_property
    def guarded(self) -> tuple[GuardRule, ...]:
        """The rules of guards that are on."""
        return tuple(rule for rule in self.guards if rule.mode is not GuardMode.OFF)

    def modes(self, capability: str, place: Place) -> dict[PIIType, PIIMode]:
        """What is done with each type of personal data; empty where none is looked for. Of several rules the first holds."""
        if not self.handles_pii:
            return {}
        known = self._modes.get((capability, place))
        if known is None:
            known = self._modes[capability, place] = self._modes_of(capability, place)
        return known

    @cached_property
    def _modes(self) -> dict[tuple[str, Place], dict[PIIType, PIIMode]]:
        return {}

    def _modes_of(self, capability: str, place: Place) -> dict[PIIType, PIIMode]:
        modes: dict[PIIType, PIIMode] = {}
        named = next((name for name in (capability, _family(capability), EVERY) if name in self.pii), EVERY)
        for rule in self.pii.get(named, ()):
            if place in rule.on:
                for kind in rule.types or PIIType:
                    modes.setdefault(kind, rule.mode)
        return {kind: mode for kind, mode in modes.items() if mode is not PIIMode.OFF}


SECTIONS = tuple(Policy.model_fields)
Section = Literal["pii", "guards", "data", "browsers", "retention"]


def _family(capability: str) -> str:
    """What rules name it by, too: `code` is every `code/…`, and work on documents is under the rules of questions to them."""
    return _WORK_FOR.get(capability) or capability.partition("/")[0]


def _names(names: Iterable[str], *among: str) -> bool:
    return any(each == EVERY or each in among for each in names)


def _is_provider(name: str, provider: str) -> bool:
    return provider == name or provider.partition(":")[0] == name


def _is_region(name: str, region: str) -> bool:
    name, region = name.casefold(), region.casefold()
    return region.startswith(name[:-1]) if name.endswith("*") else region == name
