"""The emulator's COVERAGE.md against its router and its faults."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

import heliograph.emulator
from heliograph.emulator import EmulatorSettings
from heliograph.emulator.app import build_app
from heliograph.emulator.desk import Desk
from heliograph.emulator.faults import FAULTS
from heliograph.emulator.rules import Strike

PAGE = (Path(heliograph.emulator.__file__).parent / "COVERAGE.md").read_text(encoding="utf-8")
EXAMPLES = {
    "{v}": "v1",
    "{model}": "gemini-3-pro-image",
    "{file}": "none",
    "{rest}": "deep/er",
    "{interaction}": "none",
}
# A fault that needs an argument, or would make a quarter of a gigabyte without one.
ARGUMENTS = {"status": "418", "gzip-bomb": "1"}


def section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def rows(text: str = PAGE) -> list[tuple[str, str]]:
    """Method and path of every route row."""
    found = re.findall(r"^\| (`[A-Z]+`|any) \| `(/[^`]+)` \|", text, re.MULTILINE)
    return [("*" if verb == "any" else verb.strip("`"), path) for verb, path in found]


def concrete(path: str) -> str:
    for name, value in EXAMPLES.items():
        path = path.replace(name, value)
    assert "{" not in path, path
    return path


def routed(app: web.Application) -> Iterator[tuple[str, str]]:
    for route in app.router.routes():
        assert route.resource is not None
        yield route.method, route.resource.canonical


async def test_every_route_is_listed_and_nothing_else() -> None:
    desk = Desk(EmulatorSettings(seed=1))
    try:
        app = build_app(desk)
        real = set(routed(app))
        # `Every GET also answers HEAD`.
        heads = {path for verb, path in real if verb == "HEAD"}
        assert heads == {path for verb, path in real if verb == "GET"}
        listed = set()
        for verb, path in rows():
            asked = "GET" if verb == "*" else verb
            match = await app.router.resolve(make_mocked_request(asked, concrete(path)))
            assert match.http_exception is None, (verb, path)
            resource = match.route.resource
            assert resource is not None
            listed.add((match.route.method, resource.canonical))
        assert listed == {(verb, path) for verb, path in real if verb != "HEAD"}
    finally:
        desk.close()


def test_no_route_is_listed_twice() -> None:
    assert len(rows()) == len(set(rows())) > 20


async def test_listed_routes_answer_as_their_section_says(emu: Any) -> None:
    """One route of the router takes any method of a model, so the router alone proves little."""
    for verb, path in rows(section("Served like Google")):
        reply = await emu.send(verb, concrete(path), data={} if verb != "GET" else None)
        assert reply.status in {200, 400, 403}, (verb, path)
    for verb, path in rows(section("Routed, answered 501")):
        reply = await emu.send("POST" if verb == "*" else verb, concrete(path), data={})
        assert (reply.status, reply.error["status"]) == (501, "UNIMPLEMENTED"), path
        assert "COVERAGE.md" in reply.headers["x-emu-note"]
    for verb, path in rows(section("The emulator's own routes")):
        reply = await emu.send(verb, path, key="", data=[] if verb == "POST" else None)
        assert reply.status == 200, (verb, path)


async def test_model_methods_that_are_not_served_are_not_found(emu: Any) -> None:
    named = re.search(r"other model methods \(`(\w+)`, `(\w+)`", section("Not served"))
    assert named is not None
    for method in named.groups():
        assert (await emu.generate(method=method)).status == 404


def test_the_faults_of_calls_without_a_picture() -> None:
    listed = re.findall(r"`([a-z0-9-]+)`", section("Faults on calls without a picture"))
    strikes = {
        name
        for name, fault in FAULTS.items()
        if Strike(fault=fault, arg=ARGUMENTS.get(name, "")).strikes_small_calls("m")
    }
    assert listed == sorted(strikes)


def test_it_shares_no_table_with_the_readme() -> None:
    readme = (Path(heliograph.emulator.__file__).parent / "README.md").read_text(encoding="utf-8")
    assert "(COVERAGE.md)" in readme
    assert not rows(readme)
    lines = {line for line in readme.splitlines() if line.startswith("| ")}
    assert not lines & {line for line in PAGE.splitlines() if line.startswith("| ")}
