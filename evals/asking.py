"""What a target makes of an example: its input as a request of a capability, and the answer as an outcome."""

import hmac
import re
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson

from chains.endpoints import Answer, streamed
from core.context import RequestContext, serving
from core.errors import InvalidRequest
from core.jobs import EVALUATION
from core.ledger import settled
from evals.base import Example, Outcome
from evals.metrics.effort import FIRST_TOKEN
from evals.suites import Suite, Target

if TYPE_CHECKING:
    from chains.spec import ChainDeps
    from providers.registry.pins import Pinned

#: What the ledger has calls of a run under.
BOOKED_AS = EVALUATION
#: The field that takes the one text of an example, by capability.
_TEXT_FIELDS = {
    "completion": "prompt",
    "rag": "question",
    "code/generate": "instruction",
}
_CODE_FIELD = "code"
#: Their answers depend on more than the request: on what is in the collections.
_CHANGING = frozenset({"rag"})
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_.]*)\}")


#: When the first piece of the answer that is being asked for came; None while there is none.
_first_piece: ContextVar[list[float] | None] = ContextVar("genai_first_piece", default=None)


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks one target. Made once a run; `answer` is the capability's, which is `streaming` where a suite wants to know when the
    first piece comes."""

    target: Target
    answer: Answer
    streaming: bool = False

    @classmethod
    def build(cls, suite: Suite, deps: "ChainDeps") -> "Asker":
        """Blocking: it loads the capability."""
        streaming = streams(suite)
        heard = _note_piece if streaming else None
        return cls(suite.target, streamed(f"/api/v1/{suite.target.capability}", deps, heard), streaming)

    async def ask(self, example: Example, request: RequestContext) -> Outcome:
        """The outcome, on record in the ledger. The request's context has what it has cost: see `spent`.

        Raises:
            PlatformError: there is no answer.
        """
        body = body_of(self.target, example)
        pieces: list[float] = []
        token = _first_piece.set(pieces)
        began = time.perf_counter()
        with serving(request):
            try:
                answer = await self.answer(body)
            finally:
                latency_s = time.perf_counter() - began
                _first_piece.reset(token)
                await settled()
        output = answer.get("output")
        return Outcome(
            example,
            output if isinstance(output, str) else orjson.dumps(output).decode(),
            {name: value for name, value in answer.items() if name != "output"},
            latency_s=latency_s,
            first_token_s=pieces[0] - began if pieces else None,
            streamed=self.streaming,
            cost_usd=request.cost_usd,
            input_tokens=request.usage.input_tokens,
            output_tokens=request.usage.output_tokens,
        )


def streams(suite: Suite) -> bool:
    """Whether its target is asked by streaming: where a metric asks when the first piece came."""
    return any(metric.name == FIRST_TOKEN for metric in suite.metrics)


def _note_piece() -> None:
    pieces = _first_piece.get()
    if pieces is not None and not pieces:
        pieces.append(time.perf_counter())


def body_of(target: Target, example: Example) -> dict[str, Any]:
    """The request's body for an example.

    Raises:
        InvalidRequest: `missing_input`: the template names what the input does not have.
    """
    given = dict(example.input)
    text = _filled(target.template, given) if target.template is not None else _text(given)
    body: dict[str, Any] = dict(target.parameters)
    if text is None:
        if target.system is not None and isinstance(messages := given.get("messages"), list):
            given["messages"] = [{"role": "system", "content": target.system}, *messages]
        return body | given | {"model": target.alias}
    body["model"] = target.alias
    if target.capability == "chat":
        system = [] if target.system is None else [{"role": "system", "content": target.system}]
        return body | {"messages": [*system, {"role": "user", "content": text}]}
    return body | {_TEXT_FIELDS.get(target.capability, _CODE_FIELD): text}


def spent(request: RequestContext) -> Decimal | None:
    """What the calls of a request have cost together, those in vain included; None where no price is known for one."""
    costs = [request.cost_usd, *(call.cost_usd for call in request.failures)]
    return None if None in costs else sum((cost for cost in costs if cost is not None), Decimal(0))


def reuse_key(secret: bytes, suite: Suite, pinned: "Pinned", example: Example) -> str | None:
    """What an outcome can be found by that answers the same question: asked of the same version, which its digest tells with
    the texts of all prompts that it is asked with. None where it depends on more than that."""
    if suite.target.capability in _CHANGING:
        return None
    version = pinned.editions[suite.target.alias]
    told = [suite.target.capability, version.label, version.digest, streams(suite)]
    asked = [*told, body_of(suite.target, example)]
    return hmac.digest(secret, orjson.dumps(asked, option=orjson.OPT_SORT_KEYS), "sha256").hex()


def _text(given: Mapping[str, Any]) -> str | None:
    """The one text of an input that is nothing else."""
    value = given.get("text")
    return value if len(given) == 1 and isinstance(value, str) else None


def _filled(template: str, given: Mapping[str, Any]) -> str:
    def value(found: re.Match[str]) -> str:
        here: Any = given
        for part in found.group(1).split("."):
            if not isinstance(here, Mapping) or part not in here:
                message = f"The template asks for {found.group(1)!r}, which the input does not have."
                raise InvalidRequest(message, code="missing_input", param=found.group(1))
            here = here[part]
        return here if isinstance(here, str) else orjson.dumps(here).decode()

    return _PLACEHOLDER.sub(value, template)
