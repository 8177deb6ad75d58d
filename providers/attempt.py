"""One call of one deployment, watched: its turn, its first token, the gaps between tokens, its end, and what it used."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractContextManager, AsyncExitStack, aclosing
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from core import context, traces
from core.context import Usage
from core.errors import ContentRefused, DeadlineExceeded, Killed, Unavailable
from providers.accounting import CANCELLED, DEADLINE, ERROR, OK, Account
from providers.collecting import Collector, merged
from providers.failures import HARMLESS, Failure, Kind, StreamCut, understand
from providers.lazy_chat import ModelBeingBuilt
from providers.misreading import answers_own
from providers.neutral import Declined
from providers.parameters import fitted, system_first
from providers.received import Received
from providers.reported import reporting
from providers.served import Deadline, Served
from providers.spending import Bill
from providers.watch import Watch
from providers.wire import Sending, patience, sending

#: Tokens that an answer without a limit of its own is taken to have at most, where it is decided how to ask for it.
LONGEST_ANSWER = 4096
#: Seconds that an answer which has ended is held for what its provider says last: what it used.
LAST_WORD_S = 2.0
#: What went wrong after the reason for the end had come takes nothing from the answer.
_HARMLESS_AT_THE_END = frozenset({Kind.CUT, Kind.CONNECTION, Kind.TIMEOUT})


class Attempt:
    """A call that is made once, by `chunks` or by `whole`. Its deployment's standing and the request's context learn of it.

    `told` says whether anything of the answer has come, `text` is what has. `failure` is set where it failed. Whoever sends a
    part of it on sets `given`: only then what a failed call used is the answer's. A call `aside` is the platform's own. Only
    where it is `patient` a model that is still being built is waited for longer than a first token.

    Raises:
        DeadlineExceeded: the request's time is over.
        Killed: it was switched off, before or while it was called.
        TimeoutError: the provider was silent for longer than its limits allow.
        StreamCut: the stream ended without the provider's final word.
        ContentRefused, ProviderDown: the provider ended the answer by its policy, or as one that went wrong.
        whatever the provider raises
    """

    __slots__ = (
        "_account",
        "_alias",
        "_allowed",
        "_aside",
        "_bill",
        "_chat",
        "_deadline",
        "_loop",
        "_messages",
        "_model",
        "_parameters",
        "_patient",
        "_received",
        "_rejected",
        "_request",
        "_reserved_tokens",
        "_sending",
        "_since",
        "_span",
        "_started",
        "_stop",
        "_version",
        "_watch",
        "failure",
        "given",
        "served",
    )

    def __init__(
        self,
        served: Served,
        deadline: Deadline,
        messages: list[BaseMessage],
        parameters: dict[str, Any],
        *,
        alias: str,
        version: str = "",
        bill: Bill,
        chat: Callable[[Served], BaseChatModel],
        alive: Callable[[Served, Watch], AbstractContextManager[None]],
        reserved_tokens: int = 0,
        patient: bool = True,
        aside: bool = False,
    ) -> None:
        self.served = served
        self._patient, self._aside = patient, aside
        self._alias, self._version = alias, version
        self._bill = bill
        self._chat, self._allowed = chat, alive
        self._reserved_tokens = reserved_tokens
        self._deadline = deadline
        self._messages = messages if served.facts.system_anywhere else system_first(messages)
        self._parameters = fitted(served.facts, parameters)
        self._stop = self._parameters.pop("stop", None)
        self._request = context.current()
        self._loop = asyncio.get_running_loop()
        self._model: Any = None
        self._watch = Watch()
        self._received = Received(served.provider_name)
        self._sending = Sending()
        self._account: Any = None
        self._span: Any = None
        self._started = self._since = 0.0
        self.given = self._rejected = False
        self.failure: Failure | None = None

    @property
    def text(self) -> str:
        return self._received.text

    @property
    def told(self) -> bool:
        return self._received.told

    @property
    def only_text(self) -> bool:
        return self._received.only_text

    async def chunks(self) -> AsyncGenerator[ChatGenerationChunk]:
        """The chunks from the first that tells something on; what came before it is sent with it."""
        received = self._received
        try:
            async with AsyncExitStack() as stack:
                await self._begin(stack)
                stream = await stack.enter_async_context(aclosing(self._stream()))
                held: list[ChatGenerationChunk] = []
                while (chunk := await self._next(stream)) is not None:
                    received.note(chunk)
                    if not received.told:
                        held.append(chunk)
                    if not received.told or received.wrong is not None:
                        continue
                    for each in held:
                        yield each
                    held.clear()
                    yield chunk
                received.check()
                for each in held:
                    yield each
        except BaseException as error:
            self._failed(error)
            raise
        else:
            self._succeeded()
        finally:
            self._watch.close()

    def reject(self) -> None:
        """Its `chunks`, which are about to be closed, are no continuation of the answer that it was given."""
        self._rejected = True

    async def whole(self) -> ChatResult:
        """The whole answer. How it is asked for depends on how fast the deployment is: a stream shows whether the provider is
        silent; where the longest answer would be there before that shows, the provider is asked for all of it at once."""
        try:
            async with AsyncExitStack() as stack:
                await self._begin(stack)
                result = await self._at_once() if self._is_fast() else await self._collected()
                if not result.generations:
                    raise StreamCut  # noqa: TRY301
                self._received.take(result)
        except BaseException as error:
            self._failed(error)
            raise
        finally:
            self._watch.close()
        self._succeeded()
        return result

    # --- the call -----------------------------------------------------------------------------------------------------------

    async def _begin(self, stack: AsyncExitStack) -> None:
        stack.enter_context(self._allowed(self.served, self._watch))
        if (provider := self.served.turns) is not None:
            await self._watched(stack.enter_async_context(provider.turn(self.served.model)), self._deadline.at)
        self._model = self._chat(self.served)
        if isinstance(self._model, ModelBeingBuilt):
            await self._build(self._model)
        sending.set(self._sending)
        patience.set(self.served.timeouts.first_token / 2)
        if (lines := self.served.lines) is not None:
            await self._watched(stack.enter_async_context(lines.connection(self.served.model)), self._deadline.at)
        if self._request.before_call is not None:
            await self._request.before_call()
        self._starts()

    async def _build(self, model: ModelBeingBuilt) -> None:
        """What it takes to build the model in this process says nothing of the provider; that it cannot be built does."""
        limit = self._deadline.remaining if self._patient else min(self.served.timeouts.first_token, self._deadline.remaining)
        try:
            with self.served.standing.held_place():
                self._model = await self._watched(model.find(), self._loop.time() + limit)
        except (DeadlineExceeded, Killed):
            raise
        except TimeoutError as error:
            raise Unavailable("The model is still being loaded.") from error
        except Exception:
            self._starts()
            raise

    def _starts(self) -> None:
        self._request.attempts += 1
        self._account = Account(self._request, self.served, self._alias, self._bill, version=self._version)
        self._span = self._account.span
        self.served.standing.begun()
        self._started = time.monotonic()
        self._received.begin(self._started)
        self._since = self._loop.time()

    def _stream(self) -> Any:
        # The extension point of a chat model rather than `astream`: no second run with callbacks of its own, 0.2 ms a call.
        return self._model._astream(self._messages, self._stop, None, **self._parameters)  # noqa: SLF001

    def _is_fast(self) -> bool:
        standing = self.served.standing
        pace = standing.token_s.value
        if pace is None or not standing.breaker.closed or self.served.turns is not None:
            return False
        return pace * (self._parameters.get("max_tokens") or LONGEST_ANSWER) < self.served.timeouts.first_token / 2

    async def _at_once(self) -> ChatResult:
        work = self._model._agenerate(self._messages, self._stop, None, **self._parameters)  # noqa: SLF001 - see `_stream`
        result: ChatResult = await self._watched(work, self._since + self._first_token_limit())
        return result

    async def _collected(self) -> ChatResult:
        received = self._received
        collector = Collector.of(self._model, self._messages, self._stop, self._parameters)
        if collector is None:
            chunks = []
            async with aclosing(self._stream()) as stream:
                while (chunk := await self._next(stream)) is not None:
                    received.note(chunk)
                    chunks.append(chunk)
            received.check()
            return merged(chunks)
        async with aclosing(collector.events()) as events:
            try:
                with reporting(collector.used), collector.translating():
                    while (event := await self._next(events)) is not None:
                        if collector.add(event):
                            received.told = True
                            received.live()
                        received.end(collector.finish)
            finally:
                received.add(collector.text, collector.arguments)
        with reporting(collector.used):
            if not received.ended:
                raise StreamCut
            return collector.result()

    async def _next(self, stream: AsyncIterator[Any]) -> Any:
        """The next piece, None at the end. Pieces that tell nothing buy no time: a limit runs from the call's beginning, or
        from when it is waited for what follows a piece that told something."""
        received = self._received
        if received.fresh:
            received.fresh, self._since = False, self._loop.time()
        try:
            limit = self.served.timeouts.between_tokens if received.alive else self._first_token_limit()
            limit = min(limit, LAST_WORD_S) if received.ended else limit
            return await self._watched(anext(stream), self._since + limit)
        except StopAsyncIteration:
            return None
        except Exception as error:
            if received.wrong is not None and not isinstance(error, ContentRefused):  # which says by which category
                return None
            if received.ended and understand(answers_own(error, None)).kind in _HARMLESS_AT_THE_END:
                return None
            raise

    async def _watched(self, work: Any, until: float) -> Any:
        try:
            if self._span is None:
                return await self._watch.wait(work, min(until, self._deadline.at))
            with traces.within(self._span):
                return await self._watch.wait(work, min(until, self._deadline.at))
        except TimeoutError:
            self._deadline.check()
            raise

    def _first_token_limit(self) -> float:
        """Of a deployment that may still be down it is waited for as long as it took when it was well, or until the next one
        may try."""
        limit = self.served.timeouts.first_token
        standing = self.served.standing
        measured = standing.first_token_s.value
        if standing.breaker.closed or measured is None:
            return limit
        return min(limit, max(standing.breaker.probe_s, 2 * measured))

    # --- what came of it ----------------------------------------------------------------------------------------------------

    def _succeeded(self) -> None:
        tokens, status = 0, ERROR
        try:
            tokens = self._record().output_tokens
            if self._aside:
                self._account.set_aside()
            else:
                self._account.give()
            status = OK
        finally:
            self.served.standing.succeeded(self._started, self._received.first_token_s, tokens)
            self._close(status)

    def _failed(self, error: BaseException) -> None:
        standing, started = self.served.standing, self._started
        self._received.hear(error)
        if not isinstance(error, Exception):
            if not self._rejected:  # the caller has left
                self._left(started)
                return
            error = Declined("The answer that was begun is not gone on with.")
        if isinstance(error, DeadlineExceeded):
            if started:
                self._out_of_time(started)
            return
        try:
            self.failure = failure = understand(answers_own(error, self._asked()) if started else error)
        except Exception:
            if started:
                standing.abandoned(started)
                self._close(ERROR)
            raise
        if not started:
            return
        if failure.kind in HARMLESS:
            standing.abandoned(started, failure.kind)
        elif failure.kind is Kind.RATE:
            standing.limited(started, failure.retry_after_s)
            if not self._received.alive:
                self._took(0)
        else:
            standing.failed(started, failure.kind, failure.retry_after_s)
        self._gave_up(failure.kind, failure.kind.value)

    def _asked(self) -> Callable[[], object] | None:
        """Builds the request anew, as long as nothing of the answer has come."""
        prepare = None if self._received.alive else getattr(self._model, "prepared", None)
        return prepare and (lambda: prepare(self._messages, self._stop, dict(self._parameters)))

    def _left(self, started: float) -> None:
        if self._received.ended and self._received.wrong is None:
            self._succeeded()
        elif started:
            self.served.standing.abandoned(started)
            if self._sending.held:  # the provider has never heard of it
                self._account.drop()
                return
            try:
                self._record()
                self._account.give()
            finally:
                self._close(CANCELLED)

    def _out_of_time(self, started: float) -> None:
        limits = self.served.timeouts
        silent = self._loop.time() - self._since > (limits.between_tokens if self._received.alive else limits.first_token) / 2
        end = self.served.standing.failed if silent else self.served.standing.abandoned
        end(started, Kind.TIMEOUT)
        self._gave_up(Kind.TIMEOUT, DEADLINE, worked=not silent)

    def _gave_up(self, kind: Kind, status: str, *, worked: bool = False) -> None:
        try:
            if self._received.alive or self._received.usage or worked:  # what a provider has sent it counts, whole or not
                self._record()
                if self.given:
                    self._account.give(seconds=0)  # `give_up` tells them
            self._account.give_up(kind.value)
        finally:
            self._close(status)

    def _record(self) -> Usage:
        served = self.served
        usage, told = self._received.used(self._messages, lambda text: served.provider.count_tokens(served.model, text))
        self._took(usage.total_tokens)
        self._account.pay(usage, told, tier=self._received.tier)
        return usage

    def _close(self, status: str) -> None:
        received = self._received
        self._account.close(status, received.first_token_s, reason=received.reason, model=received.model)

    def _took(self, tokens: int) -> None:
        if self.served.standing.capacity is not None:
            self.served.standing.capacity.correct(tokens - self._reserved_tokens, time.monotonic())
