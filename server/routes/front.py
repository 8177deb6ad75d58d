"""The front page, the API documentation, and what belongs to them."""

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from core.principals import Principal
from server.auth import current_principal
from server.pages import render
from server.state import CurrentState

router = APIRouter(include_in_schema=False)


@router.get("/")
async def front(request: Request, state: CurrentState, principal: Annotated[Principal, current_principal]) -> Response:
    return render(request, "front.html", {"principal": principal})
