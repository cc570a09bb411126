"""The emulator's own routes under /_emulator; invariant: no upstream has them."""

from aiohttp import web

from heliograph.emulator.desk import DESK
from heliograph.emulator.faults import FAULTS
from heliograph.emulator.protojson import load
from heliograph.emulator.sending import json_response


def add_routes(app: web.Application) -> None:
    """Health, ledger, rules, request log, fault list, reset."""
    app.router.add_get("/_emulator/healthz", _healthz)
    app.router.add_get("/_emulator/ledger", _ledger)
    app.router.add_get("/_emulator/ledger/total", _total)
    app.router.add_get("/_emulator/rules", _show_rules)
    app.router.add_post("/_emulator/rules", _add_rules)
    app.router.add_delete("/_emulator/rules", _clear_rules)
    app.router.add_get("/_emulator/requests", _requests)
    app.router.add_get("/_emulator/faults", _faults)
    app.router.add_post("/_emulator/reset", _reset)


async def _healthz(request: web.Request) -> web.Response:
    desk = request.app[DESK]
    return json_response({"ok": True, "seed": desk.seed, "calls": desk.ledger.calls_ever})


async def _ledger(request: web.Request) -> web.Response:
    return json_response(request.app[DESK].ledger.lines(request.query.get("call")))


async def _total(request: web.Request) -> web.Response:
    return json_response(request.app[DESK].ledger.total())


async def _show_rules(request: web.Request) -> web.Response:
    return json_response(request.app[DESK].rules.show())


async def _add_rules(request: web.Request) -> web.Response:
    rules = request.app[DESK].rules
    rules.add(load(await request.read()))
    return json_response(rules.show())


async def _clear_rules(request: web.Request) -> web.Response:
    request.app[DESK].rules.clear()
    return json_response([])


async def _requests(request: web.Request) -> web.Response:
    return json_response(list(request.app[DESK].requests))


async def _faults(_request: web.Request) -> web.Response:
    return json_response(
        [{"name": name, "explain": FAULTS[name].explain} for name in sorted(FAULTS)]
    )


async def _reset(request: web.Request) -> web.Response:
    request.app[DESK].reset()
    return json_response({"ok": True})
