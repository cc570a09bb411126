"""What a browser could be made to do: S79 to S86, S88, S94."""

from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from tests.server.abuse.conftest import PRO, Target, attacked

ORIGINS = ("https://evil.test", "null", "http://localhost:3000", "http://127.0.0.1:1")
ALLOWED = "access-control-"
PAID = (
    ("/openai/v1/images/generations", {"prompt": "a", "size": "1K"}),
    ("/api/v1/jobs", {"prompt": "a", "size": "1K"}),
    (f"/v1beta/models/{PRO}:generateContent", {"contents": [{"parts": [{"text": "a"}]}]}),
)


@pytest.mark.parametrize("origin", ORIGINS)
async def test_s79_no_other_origin_is_allowed(house: Target, origin: str) -> None:
    """S79: with a key, without one, and when asked beforehand."""
    image = await house.draw("anna")
    for path in (
        "/v1/models",
        "/openai/v1/models",
        "/api/v1/me",
        f"/pictures/{image['id']}/original",
    ):
        for who in (None, "anna"):
            for method in ("GET", "OPTIONS"):
                headers = {
                    "origin": origin,
                    "cookie": "a=b",
                    "access-control-request-method": "POST",
                    "access-control-request-headers": "authorization",
                }
                answer = await house.send(who, method, path, headers=headers)
                assert answer.status in (200, 401, 405)
                assert not [name for name in answer.headers if name.startswith(ALLOWED)], path


async def test_s80_no_form_of_another_site_does_anything(house: Target) -> None:
    """S80: a browser sends cookies, and no key: 401; and no body that a form can send is JSON."""
    for path, _ in PAID:
        for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data"):
            headers = {"content-type": kind, "origin": "https://evil.test", "cookie": "a=b"}
            body = b'{"prompt": "a", "size": "1K", "x": "="}'
            assert (await house.send(None, "POST", path, data=body, headers=headers)).status == 401
            answer = await house.send("anna", "POST", path, data=body, headers=headers)
            assert answer.status in (400, 415), (path, kind, answer.body)
    assert await house.bill() == []


async def test_s82_nothing_is_framed(house: Target) -> None:
    """S82: answers forbid it, pictures and errors as well."""
    image = await house.draw("anna")
    for path in (f"/pictures/{image['id']}/original", "/api/v1/me", "/v1/models", "/nowhere"):
        answer = await house.send("anna", "GET", path)
        assert answer.headers["x-frame-options"] == "DENY", path


@pytest.mark.parametrize("there", ["//evil.test", "https://evil.test", "/\\evil.test", "/../x"])
async def test_s83_nobody_is_sent_elsewhere(house: Target, there: str) -> None:
    """S83: no parameter, header or path makes a redirect; there is no login to come back from."""
    odd = quote(there, safe="")
    for path in (f"/?next={odd}", f"/api/v1/me?next={odd}", f"/v1/models?continue={odd}", "/docs/"):
        for who in (None, "anna"):
            answer = await house.send(who, "GET", path, headers={"referer": there})
            assert answer.status in (200, 400, 401, 404), (path, answer.status)
            assert "location" not in answer.headers
    job = await house.send("anna", "POST", "/api/v1/jobs", json={"prompt": "a", "size": "1K"})
    assert job.headers["location"] == f"/api/v1/jobs/{job.json['id']}"
    await house.send("anna", "GET", f"{job.headers['location']}/events")


async def test_s84_a_link_stays_where_it_was_opened(house: Target) -> None:
    """S84: no referrer, no shared cache, sniffed by nobody."""
    image = await house.draw("anna")
    link = urlsplit(image["links"]["original"])
    answer = await house.send(None, "GET", f"{link.path}?{link.query}")
    assert answer.status == 200
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "private" in answer.headers["cache-control"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["cross-origin-resource-policy"] == "same-site"
    assert link.query.partition("sig=")[2] not in house.log.getvalue()


async def test_s85_there_are_no_web_sockets(house: Target) -> None:
    """S85: no upgrade, with a key or without; event streams ask for a key (S01)."""
    for path in ("/api/v1/jobs/x/events", "/v1beta/models", "/ws"):
        for who in (None, "anna"):
            key = f"Authorization: Bearer {house.keys[who]}\r\n" if who else ""
            found = await house.raw(
                f"GET {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.test\r\n{key}"
                "Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
            )
            assert found[9:12] in ((b"401",) if who is None else (b"200", b"404")), found


async def test_s86_no_cell_of_a_table_is_a_formula(house: Target) -> None:
    """S86: tags are words of their user, and columns of an administrator's table."""
    await house.draw("anna")
    name = {"name": "=cmd|calc"}
    made = await house.send("root", "POST", "/api/v1/users", json=name)
    assert made.status in (201, 400)
    for by in ("model", "user", "month", "day"):
        answer = await house.send(
            "root", "GET", f"/api/v1/costs?by={by}", headers={"accept": "text/csv"}
        )
        if answer.status == 400:
            continue  # not something that costs are told by
        assert answer.headers["content-type"].startswith("text/csv")
        for line in answer.body.decode().splitlines()[1:]:
            assert not line.lstrip('"').startswith(("=", "+", "-", "@", "\t", "\r")), line


async def test_s88_a_download_has_a_plain_name(house: Target) -> None:
    """S88: quotes, line ends and marks of direction do not reach a header."""
    image = await house.draw("anna")
    for name in ('a".exe', "a\r\nset-cookie: x=1", "\u202egpj.exe", "../../a", "a" * 5000, "ф"):
        path = f"/pictures/{image['id']}/original?download={quote(name, safe='')}"
        answer = await house.send("anna", "GET", path)
        assert answer.status == 200, (name, answer.body)
        found = answer.headers["content-disposition"]
        assert found.startswith('attachment; filename="')
        assert found.isascii()
        assert len(found) < 1000
        plain = found.partition('filename="')[2].partition('"')[0]
        assert plain.endswith((".png", ".jpg")), found
        assert "/" not in plain
        assert "set-cookie" not in answer.headers


async def test_s94_metrics_are_for_this_machine(tmp_path: Path, emulated: str) -> None:
    """S94: 404 from outside, as behind a proxy; documents need a key, debugging is not there."""
    async with attacked(tmp_path / "home", emulated) as house:
        assert (await house.send(None, "GET", "/metrics")).status == 200
        for header in ("x-forwarded-for", "forwarded", "x-real-ip"):
            through = await house.send(None, "GET", "/metrics", headers={header: "10.0.0.1"})
            assert through.status == 404
        for path in ("/docs", "/redoc", "/openapi.json", "/debug", "/api/v1/docs", "/_emulator/ui"):
            assert (await house.send(None, "GET", path)).status == 401, path
            assert (await house.send("anna", "GET", path)).status == 404, path
        assert (await house.send(None, "GET", "/api/v1/openapi.json")).status == 401
    async with attacked(tmp_path / "other", emulated, server_metrics="key") as house:
        found = [
            (await house.send(who, "GET", "/metrics")).status for who in (None, "anna", "root")
        ]
        assert found == [401, 403, 200]
    async with attacked(tmp_path / "third", emulated, server_metrics="off") as house:
        assert (await house.send("root", "GET", "/metrics")).status == 404
