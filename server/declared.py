"""What each route asks for, read off the application itself: what a route declares is what its gate enforces."""

from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Mount, Route

from core.principals import Scope
from server.auth import is_public


@dataclass(frozen=True, slots=True)
class Declared:
    """A method of an address. `scopes`: one of them is asked for; empty: whoever is signed in may come; None: nothing is
    declared. `public`: nobody has to be signed in."""

    method: str
    path: str
    route: BaseRoute
    scopes: frozenset[Scope] | None
    public: bool


def declared_routes(app: FastAPI) -> Iterator[Declared]:
    """Every route that can be reached, LangServe's and mounted ones included, in the order in which they are asked. Of several
    on one address the first answers; those after it describe it in the OpenAPI document."""
    seen: set[tuple[str, str]] = set()
    for route in app.routes:
        if isinstance(route, Mount):
            yield Declared("GET", f"{route.path}/", route, None, is_public(f"{route.path}/"))
        elif isinstance(route, Route):
            scopes = _scopes(route)
            for method in sorted((route.methods or {"GET"}) - {"HEAD"}):
                if (method, route.path_format) not in seen:
                    seen.add((method, route.path_format))
                    yield Declared(method, route.path_format, route, scopes, is_public(route.path_format))


def _scopes(route: Route) -> frozenset[Scope] | None:
    marked = getattr(route.endpoint, "scopes", None)
    if marked is None and isinstance(route, APIRoute):
        found = [scopes for scopes in _of_dependencies(route.dependant) if scopes is not None]
        marked = max(found, key=len) if found else None
    return None if marked is None else frozenset(marked)


def _of_dependencies(dependant: Dependant) -> Iterator[tuple[Scope, ...] | None]:
    for dependency in dependant.dependencies:
        yield getattr(dependency.call, "scopes", None)
        yield from _of_dependencies(dependency)
