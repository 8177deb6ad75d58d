"""`/prompts`: what models are asked with, for people: versions, what differs between two, deployed and rolled back."""

import difflib
from collections.abc import Iterator
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from core.errors import InvalidRequest, PlatformError
from core.principals import Principal
from core.tables import VersionState
from server.pages.administration import Typed, checked, typed
from server.pages.frame import PageRoute, framed
from server.pagination import PageRequest
from server.routes import prompts as api
from server.routes.prompts import ChosenPrompt, Deployer, NewPrompt, PromptVersion
from server.routes.registry import Return
from server.state import CurrentState, State

PATH = "/prompts"
router = APIRouter(prefix=PATH, include_in_schema=False, route_class=PageRoute)

#: Prompts, versions and events that a page shows.
_SHOWN = 100
#: Lines that stay around a difference.
_AROUND = 3
Number = Annotated[int | None, Query(ge=0, le=2**31 - 1)]
#: A line of a difference: `was` and `is` differ, `same` is around them, `gap` stands for what is left out.
Line = tuple[Literal["was", "is", "same", "gap"], str]


@router.get("")
async def show_prompts(request: Request, state: CurrentState, principal: Deployer) -> Response:
    """The prompts."""
    told = await api.list_prompts(state, principal, PageRequest(_SHOWN))
    return framed(request, principal, "prompts", {"prompts": told["results"]})


@router.get("/{name:path}")
async def show_prompt(
    name: str, request: Request, state: CurrentState, principal: Deployer, before: Number = None, after: Number = None
) -> Response:
    """One prompt: its versions, two of them line by line, and its history."""
    return await _one(request, state, principal, name, before=before, after=after)


@router.post("/{name:path}")
async def change_prompt(name: str, request: Request, state: CurrentState, principal: Deployer) -> Response:
    """What the forms on a prompt's page do."""
    form = await typed(request)
    reason = form.text("reason")
    try:
        match form.act:
            case "draft":  # a browser ends lines as forms do
                new = {"text": form.text("text").replace("\r\n", "\n"), "reason": reason}
                await api.create_prompt_version(name, checked(NewPrompt, new), state, principal)
            case "deploy":
                chosen = {"version": form.text("version"), "reason": reason}
                await api.deploy_prompt(name, checked(ChosenPrompt, chosen), state, principal)
            case "rollback":
                given = {"to": form.text("to") or None, "reason": reason}
                await api.roll_back_prompt(name, checked(Return, given), state, principal)
            case _:
                raise InvalidRequest("The form does not say what to do.")
    except PlatformError as error:
        return await _one(request, state, principal, name, form=form, problem=error)
    return RedirectResponse(f"{PATH}/{name}?done={form.act}", 303)


async def _one(
    request: Request,
    state: State,
    principal: Principal,
    name: str,
    *,
    before: int | None = None,
    after: int | None = None,
    form: Typed | None = None,
    problem: PlatformError | None = None,
) -> Response:
    most = PageRequest(_SHOWN)
    versions: list[PromptVersion] = (await api.list_prompt_versions(name, state, principal, most))["results"]
    history = (await api.list_prompt_history(name, state, principal, most))["results"]
    live = next((each for each in versions if each.state is VersionState.LIVE), versions[-1])
    newest = versions[0]
    texts = {each.number: each.text for each in versions}
    older = next((each.number for each in versions[1:]), newest.number)
    before = before if before is not None else (live.number if live is not newest else older)
    after = after if after is not None else newest.number
    if missing := [str(number) for number in (before, after) if number not in texts]:
        raise InvalidRequest(f"There is no version {missing[0]} among the last {_SHOWN}.", param="before")
    values = {
        "name": name,
        "versions": versions,
        "history": history,
        "live": live,
        "before": before,
        "after": after,
        "lines": list(lines(texts[before], texts[after])),
    }
    return framed(request, principal, "prompt", values, form=form, problem=problem)


def lines(before: str, after: str) -> Iterator[Line]:
    """Two texts line by line, as far as they differ; nothing where they do not."""
    one, other = before.splitlines(), after.splitlines()
    for number, group in enumerate(difflib.SequenceMatcher(None, one, other, autojunk=False).get_grouped_opcodes(_AROUND)):
        if number:
            yield "gap", "…"
        for kind, begin, end, first, last in group:
            if kind == "equal":
                yield from (("same", line) for line in one[begin:end])
            else:
                yield from (("was", line) for line in one[begin:end])
                yield from (("is", line) for line in other[first:last])
