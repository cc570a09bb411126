"""The page of the gateway says what the gateway is: routes, codes, limits, headers, metrics."""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric
from tests.docs.fenced import ROOT

from heliograph.accounts import SCOPES
from heliograph.planning.load import catalogue
from heliograph.server import doors, faults
from heliograph.server.app import build
from heliograph.server.gateway import Gateway
from heliograph.server.gemini import files
from heliograph.server.headers import LONGEST_WAIT
from heliograph.server.metrics import Metrics
from heliograph.server.native.shapes.wanted import MOST_COUNT
from heliograph.server.openai import images, inline
from heliograph.server.opening import open_gateway
from heliograph.server.pictures.variant import WIDTHS, parse
from heliograph.server.routes import matrix
from heliograph.server.webhooks import Forged, registration
from heliograph.settings import Settings

PAGE = (ROOT / "docs/reference/gateway.md").read_text(encoding="utf-8")
LIMITS = (
    *("server_calls_at_once", "server_waiting", "server_user_at_once", "server_user_waiting"),
    *("server_user_per_minute", "bodies_at_once", "server_body_limit"),
)


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    settings = {"server_drain": 1.0, "workers": 1}
    async with open_gateway(
        home=tmp_path, base_url="http://127.0.0.1:9", api_key="emu-docs", settings=settings
    ) as opened:
        yield opened


def _rows(title: str) -> dict[str, list[str]]:
    """The rows of a section's table by their first cell."""
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("| ") and not line.startswith("|---")
    ]
    return {first: rest for first, *rest in cells}


def _told_routes() -> Iterator[tuple[str, str]]:
    for path, (methods, scope, *_) in _rows("Paths").items():
        if path.startswith("`/"):
            for method, needs in zip(methods.split(", "), _scopes(methods, scope), strict=True):
                yield f"{method} {path.strip('`')}", needs


def _scopes(methods: str, scope: str) -> list[str]:
    found = scope.split(", ")
    return found * len(methods.split(", ")) if len(found) == 1 else found


async def test_every_route_with_its_scope(gateway: Gateway) -> None:
    app = build(gateway, Metrics())
    while not hasattr(app, "routes"):
        app = app.app  # type: ignore[attr-defined]
    real = {}
    for line, scope in matrix(app).items():
        if " /gemini/" in line:
            continue
        line = re.sub(r" (/upload)?/v1(beta)?/", r" \1/V/", line)
        real[re.sub(r":path\}", "}", line)] = scope
    assert dict(_told_routes()) == real


def test_every_code_with_its_status() -> None:
    real = {code: status for _, status, code in faults._STATUSES}
    waiting: list[type[faults.Fault]] = [faults.Fault]
    while waiting:
        kind = waiting.pop()
        if kind is not Forged:  # that one is for receivers of webhooks, not from the gateway
            real.setdefault(kind.code, kind.status)
        waiting += kind.__subclasses__()
    told = {
        code.strip("`"): int(row[0]) for code, row in _rows("Status codes").items() if "`" in code
    }
    assert told == real


def test_limits_are_the_settings() -> None:
    rows = {row[1].strip("`"): row[0] for row in _rows("Limits").values()}
    for name in LIMITS:
        assert rows[name].replace(",", "") == str(Settings.model_fields[name].default), name
    assert catalogue().limits.inline_bytes == 100_000_000
    assert (files.FILE_LIMIT, files.LIFETIME, files.USER_LIMIT) == (10**8, 48 * 3600, 2 * 10**9)
    assert (doors.BAD_KEYS, registration.MOST) == (100, 20)
    assert images.MOST == MOST_COUNT == 10
    assert inline.MOST_BYTES == 20 << 20
    assert LONGEST_WAIT == 600


def test_roles_are_those_of_the_code() -> None:
    rows = _rows("Keys")
    for role, scopes in SCOPES.items():
        told = set(re.findall(r"`(\w+)`", rows[f"`{role.value}`"][0]))
        assert told == {scope.value for scope in scopes}


def test_variants_that_are_named_exist() -> None:
    for cell in _rows("Links and variants"):
        for name in re.findall(r"`([\w-]+)`", cell):
            parse(name)
    told = re.search(r"so many px wide; ([\d, ]+)", PAGE)
    assert told is not None
    assert tuple(int(n) for n in told[1].split(",")) == WIDTHS


@pytest.mark.parametrize("file", ["headers.py", "gemini/calling.py", "hardening.py"])
def test_every_header_is_named(file: str) -> None:
    text = (ROOT / "src/heliograph/server" / file).read_text(encoding="utf-8")
    found = set(re.findall(r'b?"(x-heliograph-[a-z-]+)"', text))
    assert [
        name for name in found if f"`{name}" not in PAGE and name != "x-heliograph-charged"
    ] == []


async def test_every_metric_is_named(gateway: Gateway) -> None:
    metrics = Metrics()
    metrics.look_up("jobs_waiting", lambda: 0.0)
    metrics.look_up("jobs_under_way", lambda: 0.0)
    await metrics.text(gateway)
    real = {_name(each) for each in metrics.registry.collect()}
    told = set(re.findall(r"`(heliograph_\w+)`", PAGE.partition("## Metrics")[2]))
    assert told == {name for name in real if name.startswith("heliograph_")}


def _name(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name
