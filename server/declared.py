"""What each route asks for, read off the application itself: what a route declares is what its gate enforces."""

from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.routing import Mount, Route

from core.principals import Scope
from server.auth import is_public
from server.exact_paths import ExactPaths


@dataclass(frozen=True, slots=True)
class Declared:
    """A method of an address. `scopes`: one of them is asked for; empty: whoever is signed in may come; None: nothing is
    declared. `public`: nobody has to be signed in."""

    method: str
    path: str
    scopes: frozenset[Scope] | None
    public: bool


def declared_routes(app: FastAPI) -> Iterator[Declared]:
    """Every route that can be reached, LangServe's and mounted ones included, in the order in which they are asked. Of several
    on one address the first answers; those after it describe it in the OpenAPI document."""
    seen: set[tuple[str, str]] = set()
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, ExactPaths):  # finds routes that are walked here themselves
            continue
        if isinstance(route, Route):
            path, methods, scopes = context.path_format or "", context.methods or {"GET"}, _scopes(context)
        else:  # a mount, or a kind of route that nobody has thought of here
            path = f"{route.path}/" if isinstance(route, Mount) else repr(route)
            methods, scopes = {"GET"}, None
        for method in sorted(methods - {"HEAD"}):
            if (method, path) not in seen:
                seen.add((method, path))
                yield Declared(method, path, scopes, is_public(path))


def _scopes(context: RouteContext) -> frozenset[Scope] | None:
    """What the endpoint asks for, or the dependencies of it: of several, the one that asks for something."""
    marked: list[tuple[Scope, ...] | None] = [getattr(context.endpoint, "scopes", None)]
    dependant: Dependant | None = getattr(context, "dependant", None) if hasattr(context.original_route, "dependant") else None
    if dependant is not None:
        marked += _of_dependencies(dependant)
    found = [frozenset(scopes) for scopes in marked if scopes is not None]
    return max(found, key=len) if found else None


def _of_dependencies(dependant: Dependant) -> Iterator[tuple[Scope, ...] | None]:
    for dependency in dependant.dependencies:
        yield getattr(dependency.call, "scopes", None)
        yield from _of_dependencies(dependency)
