"""Guards at work: those that a tenant's policy puts before an alias, asked in order, and what comes of what they find."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog
from pydantic import ValidationError

from chains.guards import GUARDS
from chains.guards.base import Finding, Guard
from core.context import RequestContext, current, serving
from core.errors import GuardBlocked, InvalidRequest, NotFound, PlatformError, Unavailable
from core.policies.events import report
from core.policies.policy import EVERY, GuardMode, GuardRule, Side
from core.settings import Settings, SettingsError
from core.shown_names import shown

if TYPE_CHECKING:
    from providers.models import Models

log = structlog.get_logger()

_KEPT: Final = 256
#: Names that rules may have beside those of the capabilities.
_NAMED_TOO: Final = (EVERY, "code", "embeddings")
_UNUSABLE: Final = "These settings cannot be used:\n  GENAI_POLICIES__{} (policies.{} in the TOML file): {}"


@dataclass(frozen=True, slots=True)
class Posted:
    """A guard that stands somewhere, and what happens when it finds something. `key` says how it is set."""

    guard: Guard
    name: str
    blocks: bool
    key: str = ""


class Guards:
    """One for a process; guards are built at their first use."""

    def __init__(self, models: "Models") -> None:
        self._models = models
        self._built: dict[bytes, Guard] = {}

    def posted(self, side: Side, alias: str) -> list[Posted]:
        """Those that stand on a side of the request being served, in the policy's order.

        Raises:
            Unavailable: `guard_unavailable`: one that blocks cannot be built; without it nothing passes.
        """
        request = current()
        rules = self._rules(alias)
        if not rules:
            return []
        applying = [rule for rule in rules if rule.applies(alias, request.capability)]
        found = []
        for rule in applying:
            try:
                guard, key = self._guard(rule)
            except PlatformError as error:
                log.warning("guard.unavailable", guard=rule.guard, code=error.code)
                if rule.mode is GuardMode.BLOCK:
                    raise Unavailable(f"The guard {rule.guard!r} cannot be asked.", code="guard_unavailable") from error
                continue
            if side in (rule.on or guard.usual):
                found.append(Posted(guard, rule.guard, rule.mode is GuardMode.BLOCK, f"{rule.mode.value}:{key.hex()}"))
        return found

    def _rules(self, alias: str) -> tuple[GuardRule, ...]:
        """The tenant's, and behind them those of the version of the alias that the request goes by."""
        rules = self._models.policies.of(current().principal.tenant).guarded
        own = self._models.guards_of(alias)
        return (*rules, *own) if own else rules

    def _guard(self, rule: GuardRule) -> tuple[Guard, bytes]:
        key = hashlib.blake2b(orjson.dumps([rule.guard, rule.options], option=orjson.OPT_SORT_KEYS), digest_size=16).digest()
        if (built := self._built.get(key)) is not None:
            return built, key
        kind, options = checked(rule)
        if len(self._built) >= _KEPT:
            self._built.clear()
        self._built[key] = guard = kind(options, self._models)
        return guard, key


def checked(rule: GuardRule) -> tuple[type[Guard], Any]:
    """The guard's class and its options.

    Raises:
        InvalidRequest: `invalid_guard`: there is no such guard, it cannot stand there, or its options cannot be used.
    """
    try:
        kind: type[Guard] = GUARDS.load(rule.guard)
    except NotFound as error:
        raise InvalidRequest(error.message, code="invalid_guard", param="guards") from None
    if rule.on is not None and (wrong := [side for side in rule.on if side not in kind.sides]):
        message = f"The guard {rule.guard!r} cannot stand on {wrong[0].value}."
        raise InvalidRequest(message, code="invalid_guard", param="guards")
    try:
        options = kind.options_type.model_validate(rule.options)
        kind.check(options)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(shown, problem["loc"]))
        told = problem["msg"].removeprefix("Value error, ")
        message = f"{rule.guard}: {where}: {told}" if where else f"{rule.guard}: {told}"
        raise InvalidRequest(message, code="invalid_guard", param="guards") from None
    except ValueError as error:
        raise InvalidRequest(f"{rule.guard}: {error}", code="invalid_guard", param="guards") from None
    return kind, options


def unknown_capability(pii: Iterable[str], guards: Iterable[GuardRule]) -> str | None:
    """A capability that rules name and that is not there, so that they would never hold; None where all are."""
    from chains import CHAINS

    named = {*pii, *(name for rule in guards for name in rule.capabilities)}
    return min(named - set(CHAINS) - set(_NAMED_TOO), default=None)


def check_settings(settings: Settings) -> None:
    """Refuse a start with rules for capabilities that are not there, or guards that cannot be used.

    Raises:
        SettingsError
    """
    for rule in settings.policies.guards:
        try:
            checked(rule)
        except InvalidRequest as error:
            raise SettingsError(_UNUSABLE.format("GUARDS", "guards", error.message)) from None
    for section, pii, guards in (("pii", settings.policies.pii, ()), ("guards", (), settings.policies.guards)):
        if (unknown := unknown_capability(pii, guards)) is not None:
            problem = f"There is no capability {unknown[:128]!r}."
            raise SettingsError(_UNUSABLE.format(section.upper(), section, problem))


async def ask(posted: Sequence[Posted], texts: Sequence[str], side: Side, *, beside: Sequence[str] = ()) -> None:
    """Have guards read texts, and what stands `beside` them. What those that monitor find is reported.

    Raises:
        GuardBlocked: one that blocks found something.
        PlatformError: one that blocks could not say.
    """
    for each in posted:
        for text, read in [*((text, each.guard.read) for text in texts), *((text, each.guard.read_beside) for text in beside)]:
            finding = await _finding(each, text, read)
            if finding is None:
                continue
            tell(each, finding, side)
            if each.blocks:
                raise blocked(each, side)


async def passes(posted: Sequence[Posted], text: str, side: Side) -> bool:
    """Whether none that blocks objects to a text. What is found is reported."""
    try:
        await ask(posted, [text], side)
    except GuardBlocked:
        return False
    return True


async def _finding(each: Posted, text: str, read: Callable[[str], Awaitable[Finding | None]]) -> Finding | None:
    if not text.strip():
        return None
    request = current()
    aside = request.beside()
    aside.privacy = request.privacy
    try:
        with serving(aside):
            return await read(text)
    except PlatformError as error:
        if each.blocks:
            raise
        log.warning("guard.unavailable", guard=each.name, code=error.code)
        return None
    except asyncio.CancelledError:
        raise
    except Exception as error:
        # a plugin's own mistake: a guard that cannot say lets nothing pass
        log.exception("guard.failed", guard=each.name)
        if each.blocks:
            raise Unavailable(f"The guard {each.name!r} cannot be asked.", code="guard_unavailable") from error
        return None
    finally:
        _charge(request, aside)


def _charge(request: RequestContext, aside: RequestContext) -> None:
    """A guard's model calls cost as others do; which model answered the request is not theirs to say."""
    model, provider = request.model, request.provider
    aside.cache, aside.pii = None, {}  # what it was sent is told with the request's own
    request.add(aside)
    request.model, request.provider = model, provider


def tell(each: Posted, finding: Finding, side: Side) -> None:
    """Report what a guard found."""
    event: Any = "guard.blocked" if each.blocks else "guard.found"
    score = f"{finding.score:.2f}"
    report(event, guard=each.name, side=side.value, reason=finding.reason, score=score, capability=current().capability)


def blocked(each: Posted, side: Side) -> GuardBlocked:
    """The error of what a guard stopped."""
    what = {Side.INPUTS: "request", Side.RETRIEVED: "passage", Side.OUTPUTS: "answer"}[side]
    return GuardBlocked(f"The guard {each.name!r} stopped the {what}.")
