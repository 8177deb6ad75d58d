"""A chat model that is a chain of deployments: the first that gives a whole answer in time answers."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from functools import partial
from typing import Any

import structlog
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict, Field, InstanceOf

from core.context import current
from core.errors import BudgetExceeded, Killed, ProviderFailed, Unavailable
from providers.alarms import alarm, exhausted, relieve
from providers.attempt import Attempt
from providers.caching import AliasCache
from providers.collecting import as_chunk, merged
from providers.continuation import FOUND_FOR_S, RIDDLE_TOKENS, BegunAnew, Riddle, Seam, begun
from providers.continued_form import seam_of
from providers.failures import ALARMING, Failure, Kind, StreamCut
from providers.form_by_tool import asking_by_tool, by_tool
from providers.joining import Joining
from providers.parameters import allowed
from providers.places import limits
from providers.privacy import protected, restored_chunks, restored_result, restoring
from providers.retries import Candidates
from providers.routing import Route
from providers.served import Deadline, Served
from providers.spending import Bill, billed, held_to
from providers.structured import structured_output
from providers.synchronous import AsynchronousChatModel

log = structlog.get_logger()


class FailoverChatModel(AsynchronousChatModel):
    """Calls its deployments in turn, until one answers. Nothing of a failed call reaches the caller.

    A call moves on where another deployment may do better (see `providers.retries`). A stream of which a part was sent is taken
    up by a deployment that can (see `providers.continuation`); an answer that nobody has seen a part of starts again: that of
    `invoke`, and within a request whose context says `whole` that of `stream`, which then comes in one piece.

    Raises:
        ContextLengthExceeded, ContentRefused, UnsupportedFeature, InvalidRequest: the request's own fault.
        RateLimited: all deployments are at their limits, or the local model's queue is full.
        Unavailable: no local model can be loaded, or no server of one answers.
        ProviderFailed: all deployments failed; code `stream_interrupted` where a stream was cut after its first token.
        DeadlineExceeded: `total_s` is over, or the time of the request that the call is a step of.
        Killed: the alias, its deployments or the tenant's use of models is switched off, also while the answer comes.
        BudgetExceeded: a budget has no room for it, or for one more call after those that failed; code `budget_exceeded`.
        DataPolicyRefused, PersonalDataBlocked: the tenant's policies do not let the request go to any provider.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    route: InstanceOf[Route] = Field(exclude=True, repr=False)
    kept: InstanceOf[AliasCache] | None = Field(None, exclude=True, repr=False)

    @property
    def deployments(self) -> tuple[Served, ...]:
        return self.route.deployments

    @property
    def _llm_type(self) -> str:
        return "genai-failover"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"alias": self.route.alias}

    def get_num_tokens(self, text: str) -> int:
        """Tokens of a text for the first deployment, as its provider counts them."""
        first = self.deployments[0]
        return first.provider.count_tokens(first.model, text)

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: Any = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Tools in any of LangChain's forms. `tool_choice`: auto, none, any, required, a name, or OpenAI's object. `strict`:
        calls are held to the tools' schemas; a deployment that cannot be held to them is passed over."""
        formatted = [convert_to_openai_tool(tool, strict=strict) for tool in tools]
        names = {tool["function"]["name"] for tool in formatted}
        if tool_choice in names:
            tool_choice = {"type": "function", "function": {"name": tool_choice}}
        elif tool_choice in ("any", True):
            tool_choice = "required"
        return self.bind(tools=formatted, tool_choice=tool_choice or None, **kwargs)

    def with_structured_output(
        self, schema: Any, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """Answers as a dictionary, or an instance where `schema` is a pydantic class. `method`: `json_schema` (the default),
        `function_calling` or `json_mode`."""
        return structured_output(self, schema, include_raw=include_raw, **kwargs)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        parameters = self.route.filled(allowed(kwargs, stop))
        route = self.route.within_policy()
        messages = await protected(route.privacy, messages)
        # most capabilities ask for a stream even where nobody reads its pieces: that may begin again
        chunks = self._given(route, messages, parameters, restart=current().whole)
        if (given := restoring()) is not None:
            chunks = restored_chunks(chunks, given, json="response_format" in parameters)
        async with aclosing(chunks):
            async for chunk in chunks:
                if run_manager:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        parameters = self.route.filled(allowed(kwargs, stop))
        route = self.route.within_policy()
        messages = await protected(route.privacy, messages)
        if self.kept is None:
            result = await self._whole(route, messages, parameters)
        else:
            async with aclosing(self._given(route, messages, parameters, restart=True)) as chunks:
                result = merged([chunk async for chunk in chunks])
        given = restoring()
        return result if given is None else restored_result(result, given, json="response_format" in parameters)

    def _given(
        self, route: Route, messages: list[BaseMessage], parameters: dict[str, Any], *, restart: bool
    ) -> AsyncGenerator[ChatGenerationChunk]:
        """The answer, from the response cache where the alias has one. What was answered under another data policy, or while
        a deployment was not yet switched off, is not given again."""
        if self.kept is None:
            return self._answers(route, messages, parameters, restart=restart)
        call = partial(self._answers, route, messages, parameters, restart=restart)
        policy = limits(route.policies)
        kept = self.kept if policy is None else self.kept.apart(f"data/{policy}")
        if (left := self._alive()) is not None:
            kept = kept.apart(f"alive/{left}")
        total_s = current().due(route.total_s).remaining
        return kept.answers(messages, parameters, call, whole=restart, total_s=total_s, limits=held_to(route))

    async def _answers(
        self, route: Route, messages: list[BaseMessage], parameters: dict[str, Any], *, restart: bool
    ) -> AsyncGenerator[ChatGenerationChunk]:
        """The chunks of an answer; with `restart` one chunk, once the answer is whole."""
        if restart:
            yield as_chunk(await self._whole(route, messages, parameters))
            return
        deadline = current().due(route.total_s)
        route, bill = await billed(route, messages, parameters)
        try:
            async with aclosing(self._streamed(route, bill, deadline, messages, bill.limited(parameters))) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            bill.close()

    async def _streamed(
        self, route: Route, bill: Bill, deadline: Deadline, messages: list[BaseMessage], parameters: dict[str, Any]
    ) -> AsyncGenerator[ChatGenerationChunk]:
        candidates = Candidates(route, messages, parameters, deadline)
        sent, joining = "", Joining()
        while (served := await candidates.next()) is not None:
            if sent:
                trusted = await self._worth_a_call(route, bill, candidates, served, deadline)
                if trusted is None:
                    candidates.pass_over(served)
                    continue
                joining = Joining(seam_of(sent, parameters, trusted=trusted))
            attempt = await self._attempt(route, bill, candidates, served, deadline, messages, parameters, joining.seam)
            try:
                async with aclosing(attempt.chunks()) as chunks:
                    async for chunk in chunks:
                        for each in joining.of(chunk, attempt):
                            sent += each.text
                            attempt.given = True
                            yield each
            except Exception as error:  # noqa: BLE001 - what is no provider's failure is raised again
                self._failed(candidates, attempt, error)
                if told := bool(sent) or attempt.told:
                    _raise_where_nobody_may_go_on(attempt, error, sent)
            else:
                relieve(served, route.alias)
                return
            if attempt.given and _is_full(served, parameters, sent):
                yield _ended_by_its_length(served)
                return
            if told:
                candidates.go_on(served)
        if sent:
            raise interrupted(candidates.last)
        exhausted(route.alias, route.deployments)
        raise candidates.outcome()

    async def _whole(self, route: Route, messages: list[BaseMessage], parameters: dict[str, Any]) -> ChatResult:
        """The whole answer of the first deployment that gives one."""
        deadline = current().due(route.total_s)
        route, bill = await billed(route, messages, parameters)
        try:
            return await self._asked(route, bill, deadline, messages, bill.limited(parameters))
        finally:
            bill.close()

    async def _asked(
        self, route: Route, bill: Bill, deadline: Deadline, messages: list[BaseMessage], parameters: dict[str, Any]
    ) -> ChatResult:
        candidates = Candidates(route, messages, parameters, deadline)
        while (served := await candidates.next()) is not None:
            attempt = await self._attempt(route, bill, candidates, served, deadline, messages, parameters)
            try:
                result = await attempt.whole()
            except Exception as error:  # noqa: BLE001 - what is no provider's failure is raised again
                self._failed(candidates, attempt, error)
            else:
                relieve(served, route.alias)
                return result
        exhausted(route.alias, route.deployments)
        raise candidates.outcome()

    def _alive(self) -> str | None:
        """The deployments that are not switched off, by name; None where all are not."""
        alive = self.route.alive(current().principal.tenant)
        return None if len(alive) == len(self.deployments) else "/".join(served.standing.name for served in alive)

    async def _worth_a_call(
        self, route: Route, bill: Bill, candidates: Candidates, served: Served, deadline: Deadline
    ) -> bool | None:
        """Whether the deployment is trusted to go on; None where it is not worth a call. The model that has begun the answer
        may give the same again."""
        trusted = await self._goes_on(route, bill, candidates, served, deadline)
        return trusted if trusted or (trusted is not None and candidates.written_by(served)) else None

    async def _goes_on(
        self, route: Route, bill: Bill, candidates: Candidates, served: Served, deadline: Deadline
    ) -> bool | None:
        """Whether a deployment is known to take up an answer that is begun; None: it cannot be called. Where only its operator
        says so it is asked: once in a while, by one of the calls that the request has. What has begun one anew does not. Where
        it may continue a raw text, the same call shows whether it does.

        Raises:
            DeadlineExceeded
        """
        standing, raw = served.standing, route.raw(served)
        if raw:
            return True
        known = standing.goes_on if time.monotonic() < standing.goes_on_until else None
        if known or (known is False and raw is False):
            return known
        if known is None and not served.unproven:
            return True
        if not candidates.spend(served):
            return False
        riddle, parameters = Riddle(), {"temperature": 0, "max_tokens": RIDDLE_TOKENS}
        with _called_off(candidates, served, begun=True):
            await bill.make_room(served, riddle.messages, parameters)
        attempt = Attempt(
            served,
            deadline,
            riddle.messages,
            parameters,
            alias=route.alias,
            version=route.version,
            bill=bill,
            chat=Served.chat if raw is False else route.chat,
            alive=route.call,
            reserved_tokens=candidates.tokens,
            aside=True,
        )
        try:
            answer = (await attempt.whole()).generations[0].text
        except Exception as error:  # noqa: BLE001 - what is no provider's failure is raised again
            self._failed(candidates, attempt, error)
            if attempt.failure is None or attempt.failure.kind is not Kind.REQUEST:
                return None
            answer = ""  # it takes no answer that is begun
        if route.raw(served):
            return True
        standing.goes_on, standing.goes_on_until = riddle.solved(answer), time.monotonic() + FOUND_FOR_S
        return standing.goes_on

    async def _attempt(
        self,
        route: Route,
        bill: Bill,
        candidates: Candidates,
        served: Served,
        deadline: Deadline,
        messages: list[BaseMessage],
        parameters: dict[str, Any],
        seam: Seam | None = None,
    ) -> Attempt:
        if seam is not None:
            messages = begun(messages, seam.sent)
            if "max_tokens" in parameters:
                left = parameters["max_tokens"] - served.provider.count_tokens(served.model, seam.sent)
                parameters = parameters | {"max_tokens": max(1, left)}
            if seam.trusted:  # a form is held from the first token on: the rest in it would be all of it
                parameters = {name: value for name, value in parameters.items() if name != "response_format"}
        form = None
        if by_tool(served.facts, parameters):
            parameters, form = asking_by_tool(parameters)
        with _called_off(candidates, served, begun=seam is not None):
            await bill.make_room(served, messages, parameters)
        return Attempt(
            served,
            deadline,
            messages,
            parameters,
            alias=route.alias,
            version=route.version,
            bill=bill,
            chat=route.chat if form is None else lambda served: form.of(route.chat(served)),
            alive=route.call,
            reserved_tokens=candidates.tokens,
            patient=not candidates.has_other(served),
        )

    def _failed(self, candidates: Candidates, attempt: Attempt, error: Exception) -> None:
        """Take note of a failed call. Raises `error` where it is none of a provider's."""
        failure, served = attempt.failure, attempt.served
        if failure is None:
            raise interrupted(None) if isinstance(error, StreamCut) else error
        if isinstance(error, BegunAnew) and not self.route.raw(served):
            served.standing.goes_on, served.standing.goes_on_until = False, time.monotonic() + FOUND_FOR_S
        candidates.failed(served, failure)
        alarm(served, failure)
        (log.error if failure.kind in ALARMING else log.warning)(
            "provider.failed",
            alias=self.route.alias,
            provider=served.provider_name,
            model=served.name,
            kind=failure.kind.value,
            error=type(error).__name__,
        )


@contextmanager
def _called_off(candidates: Candidates, served: Served, *, begun: bool) -> Iterator[None]:
    """For a block that finds no room for one more call: an answer that has begun ends without it as one that was cut."""
    try:
        yield
    except (BudgetExceeded, Unavailable) as error:
        candidates.pass_over(served)
        raise interrupted(candidates.last) if begun else error from None


def _raise_where_nobody_may_go_on(attempt: Attempt, error: Exception, sent: str) -> None:
    """Raises what ends an answer of which something was told."""
    if attempt.told and attempt.failure is not None and attempt.failure.kind is Kind.CONTENT:
        raise attempt.failure.error from error  # the reason is the caller's to know, and no model's to go round
    if isinstance(error, Killed):
        raise error  # nobody goes on with what a killed model has begun
    if not (attempt.only_text and sent.strip()):
        raise interrupted(attempt.failure) from error


def _is_full(served: Served, parameters: dict[str, Any], sent: str) -> bool:
    """Whether the deployment that wrote the last of it has given all that was asked for, as far as can be counted."""
    most = parameters.get("max_tokens")
    return most is not None and served.provider.count_tokens(served.model, sent) >= most


def _ended_by_its_length(served: Served) -> ChatGenerationChunk:
    """The end that the answer would have had."""
    message = AIMessageChunk(content="", response_metadata={"provider": served.provider_name})
    return ChatGenerationChunk(message=message, generation_info={"finish_reason": "length"})


def interrupted(failure: Failure | None) -> ProviderFailed:
    """The error of a stream that nobody could take up."""
    return ProviderFailed(
        "The provider's answer was cut after it had begun.",
        code="stream_interrupted",
        context={"reason": failure.kind if failure else None},
    )
