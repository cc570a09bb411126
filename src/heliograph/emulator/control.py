"""The emulator's own routes under /_emulator; invariant: no upstream has them."""

import json

from aiohttp import web

from heliograph.emulator.desk import DESK
from heliograph.emulator.envelope import misused
from heliograph.emulator.faults import FAULTS
from heliograph.emulator.faults.names import also_known
from heliograph.emulator.ledger import Line
from heliograph.emulator.projects import entries, number
from heliograph.emulator.protojson import load
from heliograph.emulator.sending import json_response

# Ten years: more would be a slip of the hand, and overflow a date some day.
_LONGEST_ADVANCE = 10 * 366 * 86_400


def add_routes(app: web.Application) -> None:
    """Health, ledger, rules, quotas, projects, clock, request log, fault list, reset."""
    app.router.add_get("/_emulator/healthz", _healthz)
    app.router.add_get("/_emulator/ledger", _ledger)
    app.router.add_get("/_emulator/ledger/total", _total)
    app.router.add_get("/_emulator/rules", _show_rules)
    app.router.add_post("/_emulator/rules", _add_rules)
    app.router.add_delete("/_emulator/rules", _clear_rules)
    app.router.add_get("/_emulator/quotas", _show_quotas)
    app.router.add_post("/_emulator/quotas", _set_quotas)
    app.router.add_delete("/_emulator/quotas", _clear_quotas)
    app.router.add_get("/_emulator/projects", _show_projects)
    app.router.add_post("/_emulator/projects", _set_projects)
    app.router.add_get("/_emulator/clock", _show_clock)
    app.router.add_post("/_emulator/clock", _advance_clock)
    app.router.add_get("/_emulator/requests", _requests)
    app.router.add_get("/_emulator/faults", _faults)
    app.router.add_post("/_emulator/reset", _reset)


async def _healthz(request: web.Request) -> web.Response:
    desk = request.app[DESK]
    return json_response({"ok": True, "seed": desk.seed, "calls": desk.ledger.calls_ever})


async def _ledger(request: web.Request) -> web.Response:
    desk, query = request.app[DESK], request.query
    lines = desk.ledger.lines(query.get("call"), query.get("project"))
    # Ten thousand lines are as many kilobytes: written one by one, and not by the event loop.
    body = await desk.read_aside(lambda: _rows(lines))
    return web.Response(body=body, headers={"content-type": "application/json; charset=UTF-8"})


def _rows(lines: list[Line]) -> bytes:
    return (
        "[" + ",\n".join(json.dumps(line, ensure_ascii=False) for line in lines) + "]\n"
    ).encode()


async def _total(request: web.Request) -> web.Response:
    return json_response(request.app[DESK].ledger.total(request.query.get("project")))


async def _show_rules(request: web.Request) -> web.Response:
    return json_response(request.app[DESK].rules.show())


async def _add_rules(request: web.Request) -> web.Response:
    rules = request.app[DESK].rules
    rules.add(load(await request.read()))
    return json_response(rules.show())


async def _clear_rules(request: web.Request) -> web.Response:
    request.app[DESK].rules.clear()
    return json_response([])


async def _show_quotas(request: web.Request) -> web.Response:
    return json_response(request.app[DESK].quotas.show())


async def _set_quotas(request: web.Request) -> web.Response:
    quotas = request.app[DESK].quotas
    quotas.take(load(await request.read()))
    return json_response(quotas.show())


async def _clear_quotas(request: web.Request) -> web.Response:
    request.app[DESK].quotas.clear()
    return json_response([])


async def _show_projects(request: web.Request) -> web.Response:
    return json_response(request.app[DESK].projects.show())


async def _set_projects(request: web.Request) -> web.Response:
    projects = request.app[DESK].projects
    projects.take(load(await request.read()))
    return json_response(projects.show())


async def _show_clock(request: web.Request) -> web.Response:
    return json_response(request.app[DESK].clock.show())


async def _advance_clock(request: web.Request) -> web.Response:
    clock = request.app[DESK].clock
    for entry in entries(load(await request.read())):
        if set(entry) != {"advance_seconds"}:
            raise misused('The clock takes {"advance_seconds": N} and nothing else.')
        clock.advance(number(entry, "advance_seconds", _LONGEST_ADVANCE))
    return json_response(clock.show())


async def _requests(request: web.Request) -> web.Response:
    return json_response(list(request.app[DESK].requests))


async def _faults(_request: web.Request) -> web.Response:
    return json_response(
        [
            {"name": name, "explain": FAULTS[name].explain, "aliases": also_known(name)}
            for name in sorted(FAULTS)
        ]
    )


async def _reset(request: web.Request) -> web.Response:
    request.app[DESK].reset()
    return json_response({"ok": True})
