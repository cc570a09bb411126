"""Who may use which route: each route carries the scope that it needs.

How a face says it:

    guarded("/images", endpoint, methods=["POST"], scope=Scope.GENERATE)     a Starlette route
    guard(route, Scope.READ)                                         any route or mount there is
    @app.get("/images", dependencies=[Depends(requires(Scope.READ))])        FastAPI
    caller: Annotated[Caller, Depends(requires(Scope.READ))]                 FastAPI, as a value

A scope of None says that the route is open: either anybody may use it, or it checks for itself
(signed links, upload continuations). Doors (`doors.py`) let nobody in without a good key except
on paths of the open list, so a route that says nothing is closed to strangers all the same;
`unlisted` finds it, and neither the tests nor the start of the server pass with one.

Invariant: the policy stands on the route itself, so that there is no second list to keep in step.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi.routing import RouteContext, iter_route_contexts
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from heliograph.accounts import Scope
from heliograph.errors import ConfigurationError
from heliograph.server.caller import Caller
from heliograph.server.faults import Forbidden, Unauthenticated

Endpoint = Callable[[Request], Awaitable[Response]]
OPEN = "open"  # in the matrix: no key needed


class Requires:
    """A FastAPI dependency that returns the caller once the scope is checked."""

    def __init__(self, scope: Scope | None) -> None:
        self.needs = scope

    def __call__(self, request: Request) -> Caller | None:
        check(request.scope, self.needs)
        found: Caller | None = request.scope.get("state", {}).get("caller")
        return found


class _Guard:
    """An ASGI application that only callers with a scope reach; no body byte is read before."""

    def __init__(self, app: ASGIApp, needs: Scope | None) -> None:
        self.app = app
        self.needs = needs

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        check(scope, self.needs)
        await self.app(scope, receive, send)


class Sorted(Router):
    """A router that tries only routes whose first part is that of the path.

    Routes that begin in the same way are tried in their order. A path has one spelling, and there
    is nothing above it, so its first part is found without decoding anything.
    """

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        super().__init__(routes, redirect_slashes=False)
        parts = {_first(getattr(route, "path", "")) for route in routes}
        self._by_part = {
            part: Router(
                [route for route in routes if _first(getattr(route, "path", "")) in (part, None)],
                redirect_slashes=False,
            )
            for part in parts
        }
        self._others = self._by_part.get(None) or Router(redirect_slashes=False)

    async def app(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan."""
        if scope["type"] != "http":
            await super().app(scope, receive, send)
            return
        scope.setdefault("router", self)
        router = self._by_part.get(_first(scope["path"]), self._others)
        await router.app(scope, receive, send)


def _first(path: str) -> str | None:
    """The first part of a path or template; None for a template in which it can be any."""
    part = path[1:].partition("/")[0]
    return None if "{" in part or not path else part


def guarded(
    path: str,
    endpoint: Endpoint,
    *,
    methods: Sequence[str],
    scope: Scope | None,
    name: str | None = None,
) -> Route:
    """A route that needs a scope; None makes it open."""
    route = Route(path, endpoint, methods=list(methods), name=name)
    guard(route, scope)
    return route


def guard(route: Route | Mount, scope: Scope | None) -> None:
    """Make a route that is there need a scope; a mount does for everything below it."""
    route.app = _Guard(route.app, scope)


def requires(scope: Scope | None) -> Requires:
    """A FastAPI dependency that needs a scope and gives the `Caller`; None makes it open.

    FastAPI reads the body before its dependencies; the key is checked before that by `Doors`.
    """
    return Requires(scope)


def check(connection: Connection, needs: Scope | None) -> None:
    """Let a caller pass who may.

    Raises:
        Unauthenticated: nobody is known to call.
        Forbidden: role or key do not allow it.
    """
    if needs is None:
        return
    caller: Caller | None = connection.get("state", {}).get("caller")
    if caller is None:
        raise Unauthenticated("No valid key came with the request.")
    if not caller.may(needs):
        raise Forbidden(
            "This key may not do that.",
            why=f"It needs the scope “{needs.value}”, and a role that has it.",
            remedy="Use another key, or ask an administrator.",
            facts={"scope": needs.value},
        )


def matrix(app: Any) -> dict[str, str]:
    """The scope by route, such as {"GET /v1/models": "read"}; "open" where none is needed."""
    return {
        line: OPEN if needs is None else needs.value
        for line, is_listed, needs in _walk(app)
        if is_listed
    }


def unlisted(app: Any) -> list[str]:
    """Routes without a policy, mounts included, such as ["GET /v1/models"]."""
    return sorted(line for line, is_listed, _ in _walk(app) if not is_listed)


def refuse_unlisted(app: Any) -> None:
    """Do not start with a route without a policy.

    Raises:
        ConfigurationError: there is one.
    """
    found = unlisted(app)
    if found:
        raise ConfigurationError(
            "There are routes without a policy.",
            why=", ".join(found),
            remedy="Make them with `guarded`, `guard` or `requires`.",
        )


Line = tuple[str, bool, Scope | None]  # "GET /path", whether it has a policy, and which


def _walk(app: Any) -> Iterator[Line]:
    yield from _lines(getattr(app, "routes", ()), "", None)


def _lines(routes: Sequence[BaseRoute], prefix: str, above: "_Policy | None") -> Iterator[Line]:
    # routers that FastAPI includes show their routes as they are served, prefix and all
    for route in iter_route_contexts(routes):
        policy = _policy(route) or above
        path = prefix + (route.path or "")
        below = getattr(route.original_route, "routes", None)
        if below:
            yield from _lines(below, path, policy)
            continue
        methods = route.methods or {"*"}
        for method in sorted(methods - {"HEAD"} or methods):
            needs = policy.needs if policy else None
            yield f"{method} {path or '/'}", policy is not None, needs


@dataclass(frozen=True, kw_only=True)
class _Policy:
    needs: Scope | None


def _policy(route: RouteContext) -> _Policy | None:
    app = getattr(route, "app", None)
    if isinstance(app, _Guard):
        return _Policy(needs=app.needs)
    for dependant in _dependants(getattr(route, "dependant", None)):
        if isinstance(dependant.call, Requires):
            return _Policy(needs=dependant.call.needs)
    return None


def _dependants(dependant: Any) -> Iterator[Any]:
    if dependant is not None:
        yield dependant
        for inner in dependant.dependencies:
            yield from _dependants(inner)
