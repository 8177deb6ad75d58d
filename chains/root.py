"""The opaque root: what is served of a capability. Callers see its input, its output and its errors, and nothing inside.

A capability's code is an asynchronous generator of `Delta`s. The root makes a runnable of it: invoke, batch and stream, sync
and async. Callbacks that a caller brings (event streams are made of them) see the root alone: runs inside start without
any, so no prompt, no passage and no inner step can leave through an event stream.
"""

# ruff: noqa: A002 - `input` is what the Runnable interface calls it

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import structlog
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import (
    get_config_list,
    var_child_runnable_config,
)
from pydantic import BaseModel, RootModel, ValidationError, create_model

from chains.forms import AnswerForm, DictForm, accounting
from chains.observing import Observer
from chains.protection.capturing import Captured
from chains.protection.protection import Protection
from chains.protection.tracing import telling
from chains.refusals import INVALID_FILTER, in_words
from chains.spec import ChainDeps, Delta
from core import bridge, denials, traces
from core.context import RequestContext, current, serving
from core.deadline import Deadline
from core.errors import Internal, InvalidRequest, PlatformError
from core.shown_names import shown, shown_model
from core.tries import Tries
from providers.models import DEFAULT
from providers.watch import Watch

if TYPE_CHECKING:
    from opentelemetry.trace import Span

log = structlog.get_logger()

DEFAULT_BATCH_CONCURRENCY = 8
#: A step that keeps the deadline by itself, as a model call does, knows better what to make of its end: it goes first.
_GRACE_S = 0.05


def opaque(
    name: str,
    answer: Callable[[Any], AsyncIterator[Delta]],
    *,
    deps: ChainDeps | None = None,
    input_type: type[BaseModel],
    output_type: Any,
    form: Callable[[], AnswerForm] = DictForm,
    published_input: type[BaseModel] | None = None,
) -> "OpaqueRoot":
    """Make the served runnable of a capability.

    `answer` is called with a validated `input_type` for each run and yields deltas, the last with `final`. It is stepped
    with the run's own `core.context.current()`, in which model calls record themselves. `form` says what callers get: with
    `DictForm`, `final` is a mapping or a model with `output` and the capability's own fields, and the accounting fields
    (`model`, `provider`, `usage`, `cost_usd`) are put beside them. `published_input` is a model that takes the same and whose
    schema is shown instead. With `deps` the policies of the request's tenant hold for input and answer, and `timeouts.total`
    bounds the whole of it; without, none do and nothing does.
    """
    interface = Interface(input_type, output_type, form, published_input or input_type)
    if deps is None:
        return OpaqueRoot(name, answer, interface)
    return OpaqueRoot(name, answer, interface, Protection(deps, name), total_s=deps.settings.timeouts.total)


@dataclass(frozen=True, slots=True)
class Interface:
    """What a root takes and gives."""

    input_type: type[BaseModel]
    output_type: Any
    form: Callable[[], AnswerForm]
    published_input: type[BaseModel]


class OpaqueRoot(Runnable[Any, Any]):
    """A capability as callers see it. Takes its input as a mapping or as the input model.

    Raises:
        PlatformError: whatever goes wrong, also in the middle of a stream; `Internal` for a mistake of our own.
    """

    def __init__(
        self,
        name: str,
        answer: Callable[[Any], AsyncIterator[Delta]],
        interface: Interface,
        protection: Protection | None = None,
        *,
        total_s: float | None = None,
    ) -> None:
        self.name = self._name = name
        self._total_s = total_s
        self._answer = answer
        self._protection = protection
        self._interface = interface
        self._home = bridge.running_loop()

    @property
    def InputType(self) -> type[BaseModel]:  # noqa: N802 - the interface's name
        """The model that inputs are checked against."""
        return self._interface.input_type

    @property
    def OutputType(self) -> Any:  # noqa: N802 - the interface's name
        """The type of what `invoke` returns."""
        return self._interface.output_type

    def get_input_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """The published input model: no configuration changes it."""
        return self._interface.published_input

    def get_output_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """A model of the output, for schemas and documentation."""
        output = self._interface.output_type
        if isinstance(output, type) and issubclass(output, BaseModel):
            return output
        return create_model(self.get_name("Output"), __base__=RootModel[output])  # type: ignore[valid-type]

    def config_schema(self, *, include: Sequence[str] | None = None) -> type[BaseModel]:
        """Empty: nothing of a served capability can be configured by a caller."""
        return create_model(self.get_name("Config"))

    def parse(self, value: Any) -> Any:
        """The input as its model.

        Raises:
            InvalidRequest: it does not fit; `param` names the first field that does not.
        """
        if isinstance(value, self._interface.input_type):
            return value
        try:
            return self._interface.input_type.model_validate(value)
        except ValidationError as error:
            raise invalid_input(error, value) from None
        except RecursionError:
            raise InvalidRequest("The input is nested too deeply.") from None

    def deadline(self) -> Deadline | None:
        """When an answer that begins now has to be over: with the request that it is a part of, or `timeouts.total` later."""
        own = current().deadline
        return own if own is not None or self._total_s is None else Deadline.after(self._total_s)

    async def answer(self, value: Any, *, whole: bool = False, deadline: Deadline | None = None) -> AsyncGenerator[Delta, None]:
        """The run as plain REST serves it: deltas as they come, the last with the flat answer as `final`.

        The flat answer holds the capability's own fields and the accounting, not yet the request's identifier. `whole`: the
        deltas before the last are of no interest, and need not come one by one. `deadline` is that of several answers together.
        """
        form, run = self._interface.form(), self._new_run(whole=whole, deadline=deadline)
        async with aclosing(self._steps(value, run)) as deltas:
            async for delta in deltas:
                if delta.final is None:
                    yield delta
                else:
                    if delta.text or delta.data:
                        yield Delta(text=delta.text, data=delta.data)
                    yield Delta(final=accounting(run) | form.flat(form.whole(delta.final, run)))

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """The whole answer."""
        observer = Observer(self, input, config)
        await observer.start()
        form, run = self._interface.form(), self._new_run(whole=True)
        whole: Any = None
        try:
            async with aclosing(self._steps(input, run)) as deltas:
                async for delta in deltas:
                    if delta.final is not None:
                        whole = form.whole(delta.final, run)
        except BaseException as error:
            await observer.failed(error)
            raise
        await observer.ended(whole)
        return whole

    async def astream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any | None) -> AsyncIterator[Any]:
        """The answer in chunks that add up to it."""
        observer = Observer(self, input, config)
        await observer.start()
        total: Any = None
        try:
            async with aclosing(self._chunks(input)) as chunks:
                async for chunk in chunks:
                    if observer.watches:
                        total = chunk if total is None else total + chunk
                    yield chunk
        except BaseException as error:
            await observer.failed(error)
            raise
        await observer.ended(total)

    async def abatch(
        self,
        inputs: list[Any],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any | None,
    ) -> list[Any]:
        """One answer an input, in order, `max_concurrency` (8) at once.

        With `return_exceptions` a failed input has its error in its place; without, the first failure cancels the others
        and is raised.
        """
        configs = get_config_list(config, len(inputs))
        slots = asyncio.Semaphore((configs and configs[0].get("max_concurrency")) or DEFAULT_BATCH_CONCURRENCY)

        async def one(value: Any, its_config: RunnableConfig) -> Any:
            async with slots:
                try:
                    return await self.ainvoke(value, its_config)
                except PlatformError as error:
                    if return_exceptions:
                        return error
                    raise

        runs = [asyncio.create_task(one(*pair)) for pair in zip(inputs, configs, strict=True)]
        try:
            return list(await asyncio.gather(*runs))
        finally:
            for run in runs:
                run.cancel()
            await asyncio.gather(*runs, return_exceptions=True)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """As `ainvoke`, from synchronous code in any thread."""
        return bridge.call(self.ainvoke(input, config), self._home)

    def stream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any | None) -> Iterator[Any]:
        """As `astream`, from synchronous code in any thread."""
        return bridge.iterate(lambda: self.astream(input, config), self._home)

    def batch(
        self,
        inputs: list[Any],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any | None,
    ) -> list[Any]:
        """As `abatch`, from synchronous code in any thread."""
        return bridge.call(self.abatch(inputs, config, return_exceptions=return_exceptions), self._home)

    async def _chunks(self, value: Any) -> AsyncGenerator[Any, None]:
        form, run = self._interface.form(), self._new_run()
        async with aclosing(self._steps(value, run)) as deltas:
            async for delta in deltas:
                if (chunk := form.chunk(delta)) is not None:
                    yield chunk
                if delta.final is not None and (rest := form.rest(form.whole(delta.final, run))) is not None:
                    yield rest

    def _new_run(self, *, whole: bool = False, deadline: Deadline | None = None) -> RequestContext:
        """A context for one run: of a batch, each input's accounting, time and tries stay its own."""
        run = current().beside()
        run.whole, run.deadline, run.tries = whole, deadline or self.deadline(), Tries()
        return run

    async def _steps(self, value: Any, run: RequestContext) -> AsyncGenerator[Delta, None]:
        """Step through the capability's own code, unobserved, and see that it ends with a final delta, in time."""
        asked = self.parse(value)
        if isinstance(named := getattr(asked, "model", DEFAULT), str | None):
            admit_to_model(named or DEFAULT)
        if self._home is None or not self._home.is_running():
            self._home = bridge.running_loop()
        run.capability, run.session_id = self._name, getattr(asked, "session_id", None)
        span = traces.begin(f"capability {self._name}", {"genai.capability": self._name})
        outer, inside = current(), _Inside(run, span, traced=self.may_be_traced())
        captured = self._captured(span, asked)
        with inside:
            deltas = self._begun(asked)
        finished, watch = False, Watch()
        try:
            while not finished:
                # set for each step and not across yields: between two steps the consumer's own context runs
                with inside:
                    step = anext(deltas, None)
                    due = run.deadline
                    delta = await (step if due is None else watch.wait(step, due.at + _GRACE_S))
                if delta is None:
                    break
                finished = delta.final is not None
                if captured is not None:
                    captured.add(delta)
                # a stream's headers are sent before its run is over
                outer.allowances, outer.degraded = outer.allowances or run.allowances, outer.degraded or run.degraded
                if outer.cache is None:
                    outer.cache = run.cache
                yield delta
        except PlatformError:
            raise
        except Exception as error:
            if isinstance(error, TimeoutError) and run.deadline is not None:
                run.deadline.check()
            log.exception("capability.failed", capability=self.name, error=type(error).__name__)
            raise Internal("The platform failed to answer; the log says why.") from error
        finally:
            watch.close()
            with inside:
                await deltas.aclose()
            outer.add(run)
            why = None if finished else sys.exc_info()[1]
            if captured is not None:
                captured.ended(why)
            else:
                traces.end(span, why)
        if not finished:
            raise Internal("The answer ended before it was complete.", context={"capability": self.name})

    def may_be_traced(self) -> bool:
        """Whether the tenant's policies let tracers have what is asked and answered. A caller's own event stream always has."""
        return self._protection is None or self._protection.may_be_traced()

    def _captured(self, span: "Span | None", asked: Any) -> Captured | None:
        """What gathers the texts of a run for its span; None where they are none of its business."""
        if span is None or self._protection is None or not traces.has_content() or not self.may_be_traced():
            return None
        return Captured(span, self._protection.analyser, asked)

    def _begun(self, asked: Any) -> AsyncGenerator[Delta, None]:
        """The deltas of the capability's own code, within the policies of the request's tenant."""
        if self._protection is not None:
            return self._protection.run(self._answer, asked)
        return cast("AsyncGenerator[Delta, None]", self._answer(asked))


def admit_to_model(alias: str) -> None:
    """Let the request's principal use what it names. Steps inside a capability have the operator's own aliases.

    Raises:
        Forbidden: `model_not_allowed`: the key is for other models.
    """
    principal = current().principal
    if not principal.may_use_model(alias):
        text = "This key is not for this model."
        raise denials.barred(principal, text, code="model_not_allowed", param="model", details={"alias": shown_model(alias)})


class _Inside:
    """A step of the capability's own code: model calls record themselves in `run`, and runs that are started inherit no
    callbacks, tags or metadata from the caller's. Nor, unless they may be `traced`, the tracer of the environment."""

    __slots__ = ("_config", "_serving", "_span", "_telling", "_traced", "_within")

    def __init__(self, run: RequestContext, span: "Span | None", *, traced: bool) -> None:
        self._serving, self._span, self._traced = serving(run), span, traced

    def __enter__(self) -> None:
        self._serving.__enter__()
        self._telling = telling(self._traced)
        self._telling.__enter__()
        if self._span is not None:
            self._within = traces.within(self._span)
            self._within.__enter__()
        self._config = var_child_runnable_config.set(None)

    def __exit__(self, *_: object) -> None:
        var_child_runnable_config.reset(self._config)
        if self._span is not None:
            self._within.__exit__()
        self._telling.__exit__(None, None, None)
        self._serving.__exit__()


def invalid_input(error: ValidationError, value: Any) -> InvalidRequest:
    """Pydantic's error as the platform's: the first problem's field and reason, never what the caller sent."""
    problems = error.errors(include_url=False, include_input=False)
    field = _field(problems[0]["loc"], value)
    code = INVALID_FILTER if problems[0]["type"] == INVALID_FILTER else None
    return InvalidRequest(in_words(cast("Any", problems[0]), field), code=code, param=field or None)


def _field(location: Sequence[int | str], value: Any) -> str:
    """The path to a field as its caller wrote it: names of union members, which pydantic puts between, are left out."""
    path: list[str] = []
    for index, part in enumerate(location):
        last = index == len(location) - 1
        if isinstance(value, Mapping) and isinstance(part, str) and (part in value or last):
            value = value.get(part)
        elif isinstance(value, list | tuple) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            continue
        path.append(shown(part))
    return ".".join(path)
