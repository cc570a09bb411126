"""A gateway process with probes, metrics and one paid route: what `serve` runs, without its faces.

python -m tests.server.operations.stand [--host HOST] [--port PORT]
"""

import json
import sys

from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from heliograph.cli.screen import note
from heliograph.cli.serve import facts
from heliograph.errors import HeliographError
from heliograph.server.caller import Caller, Errand
from heliograph.server.faults import verdict
from heliograph.server.gateway import Gateway
from heliograph.server.health import Health
from heliograph.server.metrics import Metrics
from heliograph.server.run import Order, Voice, run
from heliograph.types import Request


def build(gateway: Gateway, metrics: Metrics) -> ASGIApp:
    async def paid(request: HttpRequest) -> Response:
        (user,) = await gateway.accounts.users()
        (key,) = await gateway.accounts.keys()
        caller = Caller(user=user, key=key, address="127.0.0.1", request_id="r")
        wanted = Request(prompt=request.query_params["prompt"], size="1K")
        errand = Errand(caller=caller, face="native", route="POST /paid", request=wanted)
        try:
            done = await gateway.perform(errand)
        except HeliographError as error:
            found = verdict(error)
            return JSONResponse(error.as_dict(), found.status, headers=dict(found.headers))
        return JSONResponse({"job": done.job.id, "cost": done.cost})

    routes = [
        *Health(gateway).routes(),
        metrics.route(gateway),
        Route("/paid", paid, methods=["POST"]),
    ]
    return Starlette(routes=routes)


def main(words: list[str]) -> int:
    named = dict(zip(words[::2], words[1::2], strict=True))
    voice = Voice(started=lambda what: print(json.dumps(facts(what)), flush=True), say=note)
    order = Order(host=named.get("--host"), port=int(named.get("--port", "0")))
    try:
        return run(order, voice, build)
    except HeliographError as error:
        print(json.dumps({"error": error.as_dict()}), flush=True)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
