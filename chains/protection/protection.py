"""Protection of one capability: its input is judged before it begins, its answer before it leaves. One place for every door."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from string import Template
from typing import Any, cast

from chains.prompting import own_words, words_of
from chains.protection.answers import Answering
from chains.protection.guarding import Posted, ask, passes
from chains.protection.inputs import Written, together, written
from chains.protection.tracing import may_be_traced
from chains.spec import ChainDeps, Delta
from core.context import current
from core.policies.policy import PIIMode, Place, Side
from core.policies.privacy import Privacy, record_of
from core.redaction.entities import PIIType
from providers.models import DEFAULT

#: It is there to handle personal data as its caller says.
EXEMPT = frozenset({"pii"})
#: What is told by its form alone, and may be looked for in names and identifiers, which are no language.
_BY_FORM = frozenset({PIIType.SECRET, PIIType.CREDIT_CARD, PIIType.IBAN_CODE, PIIType.EMAIL_ADDRESS})


class Protection:
    """Of one capability in one process. Where the tenant has no policies, the capability runs as it is."""

    def __init__(self, deps: ChainDeps, capability: str) -> None:
        self._models = deps.models
        self._policies = deps.models.policies
        self._privacy = deps.models.privacy
        self.analyser = deps.models.privacy.analyser
        self._prompts = current().versions.prompts
        self._own = frozenset(own_words())
        self._privacy.own_words(tuple(self._own))
        self._guards = deps.guards
        self._capability, self._exempt = capability, capability in EXEMPT

    def may_be_traced(self) -> bool:
        """Whether what is asked and answered may be told to tracers, or held by a span."""
        return may_be_traced(self._models, self._capability)

    def run(self, answer: Callable[[Any], AsyncIterator[Delta]], asked: Any) -> AsyncGenerator[Delta, None]:
        """The deltas of the capability's own code, as the policies of the request's tenant let them pass."""
        policy = self._policies.of(current().principal.tenant)
        # the version of what the caller names is chosen before those of steps, so that its prompts come first
        own = self._models.guards_of(asked.model or DEFAULT) if hasattr(asked, "model") else ()
        if (prompts := current().versions.prompts) is not self._prompts:
            self._take_words(prompts)
        if self._exempt or not (policy.handles_pii or policy.guarded or own):
            return cast("AsyncGenerator[Delta, None]", answer(asked))
        return self._protected(answer, asked)

    def _take_words(self, prompts: Mapping[str, Template | None]) -> None:
        """Other prompts are live: their words are the platform's own as well."""
        registered = words_of(prompt.template for prompt in prompts.values() if prompt is not None)
        self._prompts, self._own = prompts, frozenset((*own_words(), *registered))
        self._privacy.own_words(tuple(self._own))

    async def _protected(self, answer: Callable[[Any], AsyncIterator[Delta]], asked: Any) -> AsyncGenerator[Delta, None]:
        alias = getattr(asked, "model", None) or DEFAULT
        given = written(asked)
        if standing := self._guards.posted(Side.INPUTS, alias):
            await ask(standing, given.said, Side.INPUTS, beside=given.beside(self._own))
            current().passed = frozenset(each.key for each in standing)
        await refuse_blocked(self._privacy, given)
        modes = self._privacy.modes(Place.ANSWERS)
        posted = self._guards.posted(Side.OUTPUTS, alias)
        deltas = cast("AsyncGenerator[Delta, None]", answer(asked))
        if modes or posted:
            deltas = Answering(self._privacy, modes, posted, asked).of(deltas)
        async with aclosing(deltas):
            async for delta in deltas:
                yield delta


async def refuse_blocked(privacy: Privacy, given: Written) -> None:
    """Refuse what no prompt may hold before anything is done for it; the rest is seen to where a model is called. What
    stands beside the messages is searched here alone: to change it would change what the model can do.

    Raises:
        PersonalDataBlocked
    """
    modes = privacy.modes(Place.PROMPTS).get(Place.PROMPTS, {})
    blocking = {kind: mode for kind, mode in modes.items() if mode is PIIMode.BLOCK}
    if blocking:
        passing = privacy.passing({Place.PROMPTS: blocking})
        for text in (*given.said, *given.told, *given.worded):
            await passing.text(text)
    by_form = {kind: mode for kind, mode in blocking.items() if kind in _BY_FORM}
    if by_form:
        passing = privacy.passing({Place.PROMPTS: by_form})
        for text in together(given.named):
            await passing.text(text)


async def admit_said(deps: ChainDeps, texts: Sequence[str], aliases: Iterable[str | None]) -> None:
    """Have what the caller said read by the guards that stand before the aliases of steps on the way to an answer: their models
    are sent it, too. Those that have let it pass with the request itself do not read it again.

    Raises:
        GuardBlocked
    """
    passed = current().passed
    named = dict.fromkeys(alias or DEFAULT for alias in aliases)
    standing = {each.key: each for alias in named for each in deps.guards.posted(Side.INPUTS, alias)}
    await ask([each for key, each in standing.items() if key not in passed], texts, Side.INPUTS)


class Found:
    """Texts that a capability found or was given beside its input: passages, files. Judged before they go into a prompt."""

    def __init__(self, deps: ChainDeps, alias: str | None) -> None:
        self._privacy = deps.models.privacy
        self._guards = deps.guards
        self._alias = alias or DEFAULT

    async def passages(self, found: Sequence[Any], text: Callable[[Any], str]) -> list[Any]:
        """Those that the guards of found text let pass: the others are left out, and reported."""
        posted = self._posted(Side.RETRIEVED)
        return [each for each in found if await passes(posted, text(each), Side.RETRIEVED)] if posted else list(found)

    async def files(self, texts: Sequence[str]) -> None:
        """Have the guards of inputs read the texts of files that came with the request.

        Raises:
            GuardBlocked
        """
        await ask(self._posted(Side.INPUTS), texts, Side.INPUTS)

    def mark(self, texts: Sequence[str]) -> None:
        """Texts as they will stand in a prompt, whose personal data falls under the rules of what was retrieved."""
        if self._privacy.modes(Place.PROMPTS, Place.RETRIEVED):
            record_of(current()).retrieved += [text for text in texts if text]

    def _posted(self, side: Side) -> list[Posted]:
        return self._guards.posted(side, self._alias)
