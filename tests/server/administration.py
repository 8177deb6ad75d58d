"""The administrators' pages for tests: on a real database, used as a browser uses them."""

import html
import re
from typing import Any

import httpx

from core.principals import SYSTEM, Role
from core.settings import Settings
from providers.models import Models
from server.access.keys import KeyRights
from server.routes import audit as audit_api
from server.routes import tenants as tenants_api
from server.routes import users as users_api
from server.routes.admin import audit, keys, overview, roles, teams, tenants, users
from tests.server.conftest import Guarded

PAGE = {"accept": "text/html"}
OWN_SITE = PAGE | {"sec-fetch-site": "same-origin"}
FOREIGN_SITE = PAGE | {"sec-fetch-site": "cross-site"}


def with_pages(guarded: Guarded, settings: Settings) -> Guarded:
    """The application with the pages and the API that they stand for."""
    guarded.app.state.platform.models = Models(settings)
    for module in (users_api, tenants_api, audit_api, overview, users, teams, roles, keys, tenants, audit):
        guarded.app.include_router(module.router)
    return guarded


async def sign_in(here: Guarded, key: str | None = None) -> None:
    here.client.cookies.clear()
    answer = await here.client.post("/signin", data={"key": key or here.key})
    assert answer.status_code == 303


async def get(here: Guarded, path: str) -> httpx.Response:
    return await here.client.get(path, headers=OWN_SITE)


async def send(here: Guarded, path: str, **form: Any) -> httpx.Response:
    return await here.client.post(path, data=form, headers=OWN_SITE)


async def api(here: Guarded, method: str, path: str, body: Any = None, *, key: str | None = None) -> Any:
    """What the API answers to an administrator, or to another key."""
    headers = {"x-api-key": key or here.key}
    return await here.client.request(method, f"/api/v1{path}", json=body, headers=headers)


async def key_of(here: Guarded, role: str = Role.ADMIN, *, tenant: str | None = None) -> str:
    """Another principal's key; of a tenant that is made, where one is named."""
    if tenant is not None:
        made = await api(here, "POST", "/tenants", {"id": tenant, "name": tenant})
        return str(made.json()["key"])
    return (await here.access.keys.create(SYSTEM, "another", KeyRights(role)))[1]


def problem(page: httpx.Response) -> str:
    """What the page says went wrong."""
    found = re.search(r'role="alert"[^>]*>(.*?)</', page.text, re.DOTALL)
    return html.unescape(found[1]) if found else ""


def value(page: httpx.Response, field: str) -> str:
    """What stands in a field of the page."""
    found = re.search(rf'<input id="{field}"[^>]* value="([^"]*)"', page.text)
    return html.unescape(found[1]) if found else ""
