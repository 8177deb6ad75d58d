"""`/admin`: the way into the sections of the administration."""

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from core.principals import Principal
from server.auth import requires
from server.pages.administration import PATH, SCOPES, AdminRoute, admin_page

router = APIRouter(include_in_schema=False, route_class=AdminRoute)


@router.get(PATH)
async def overview(request: Request, principal: Annotated[Principal, requires(*SCOPES)]) -> Response:
    """The page."""
    return admin_page(request, principal, "overview", {})
