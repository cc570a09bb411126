"""What a user's address can make this machine connect to (S30–S37, S41, S43)."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from heliograph.emulator.tls import AUTHORITY, context
from heliograph.errors import ConfigurationError
from heliograph.providers import outbound
from heliograph.providers.outbound import (
    MOST,
    Allowed,
    NotDelivered,
    Outbound,
    TargetRefused,
    is_public,
    look_up,
)

PUBLIC = "8.8.8.8"

# ruff: noqa: S104  these are addresses that are refused
# S30: spellings of this machine, this network, and of what clouds tell their machines
SPELLINGS = (
    *("127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0x7f.1"),
    *("0177.0.0.1", "017700000001", "0177.1", "127.0.0.1.", "0", "0.0.0.0", "00000.0.0.0"),
    *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[::1%25lo]"),
    *("[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]"),
    *("[fe80::1%25eth0]", "[fd00:ec2::254]", "[fc00::1]", "[ff02::1]", "localhost", "localhost."),
    *("LOCALHOST", "a.localhost", "127.0.0.1.localhost", "１２７.0.0.1", "①②⑦.0.0.1", "ⓛocalhost"),
    *(
        "127。0。0。1",
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "100.64.0.1",
        "100.100.100.200",
    ),
    *("metadata.google.internal", "metadata.goog", "kubernetes.default.svc.cluster.local"),
    *("192.168.0.1", "10.0.0.1", "172.16.0.1", "192.0.0.192", "198.18.0.1", "router.lan", "db"),
    *(
        "foo_bar.example.com",
        "-a.example.com",
        "a..example.com",
        "example.com.",
        "a" * 300 + ".com",
    ),
)

# S34, S35, S36: the rest of an address
FORMS = (
    *("http://hooks.example.com/", "ftp://hooks.example.com/", "file:///etc/passwd", "gopher://x/"),
    *(
        "data:text/plain,x",
        "unix:/var/run/docker.sock",
        "//hooks.example.com/",
        "hooks.example.com",
    ),
    *(
        "https://hooks.example.com:8443/",
        "https://hooks.example.com:80/",
        "https://hooks.example.com:/",
    ),
    *(
        "https://user@hooks.example.com/",
        "https://user:pw@hooks.example.com/",
        "https://@a.example.com",
    ),
    *("https://a.example.com\\@127.0.0.1/", "https://a.example.com#@127.0.0.1/", "https:///x"),
    *("https://127.0.0.1%2f@a.example.com/", "https://a.example.com/\t", " https://a.example.com/"),
    *("https://a.example.com/\r\nHost: b", "https://a.exa\tmple.com/", "https:\\\\a.example.com"),
    *("https://a.example.com/ x", "https://a.example.com/é", "https://éxample.com/", "https://"),
    *("HTTPS://a.example.com/", "https://a.example.com/%zz", "https://a.example.com/" + "a" * 2000),
    *("https://a.example.com:0443/", "https://a.example.com:443443/", "", "https:a.example.com"),
)


async def nowhere(host: str, port: int) -> Sequence[str]:
    raise AssertionError(f"{host}:{port} must not even be looked up")


def standing_for(*addresses: str) -> outbound.Resolve:
    async def resolve(host: str, port: int) -> Sequence[str]:
        assert port == 443
        assert host.islower()
        return addresses

    return resolve


@pytest.mark.parametrize("host", SPELLINGS)
async def test_no_spelling_of_the_inside_is_called(host: str, canary: list[int]) -> None:
    out = Outbound(Allowed(any_public=True), resolve=nowhere)
    for url in (f"https://{host}/", f"https://{host}:443/x", f"http://{host}:{canary[0]}/"):
        with pytest.raises(TargetRefused):
            await out.safe_post(url, b"{}", {})
    assert canary[1:] == []


@pytest.mark.parametrize("url", FORMS)
async def test_no_other_form_is_called(url: str) -> None:
    with pytest.raises(TargetRefused):
        await Outbound(Allowed(any_public=True), resolve=nowhere).admit(url)


@pytest.fixture
async def canary() -> AsyncIterator[list[int]]:
    """Its port, and from then on one number for each connection it sees."""
    seen: list[int] = []

    async def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(1)
        writer.close()

    server = await asyncio.start_server(note, "127.0.0.1", 0)
    seen.append(server.sockets[0].getsockname()[1])
    async with server:
        yield seen


INSIDE = (
    *("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.31.0.1"),
    *("192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "203.0.113.9"),
    *("224.0.0.1", "240.0.0.1", "255.255.255.255", "168.63.129.16", "::", "::1", "::ffff:8.8.8.8"),
    *("::8.8.8.8", "64:ff9b::808:808", "64:ff9b:1::1", "2002:808:808::1", "2001::1", "2001:db8::1"),
    *(
        "fe80::1",
        "fe80::1%eth0",
        "2606:4700::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "3fff::1",
    ),
    *("100::1", "", "x", "8.8.8", "0x08.8.8.8", "5f00::1", "fec0::1"),
)


@pytest.mark.parametrize("address", INSIDE)
async def test_one_such_address_among_many_is_enough(address: str) -> None:
    """S33, S43: whatever else the name stands for."""
    assert not is_public(address)
    for listed in (Allowed(any_public=True), Allowed.of("hooks.example.com")):
        out = Outbound(listed, resolve=standing_for(PUBLIC, address, "1.1.1.1"))
        with pytest.raises(TargetRefused):
            await out.safe_post("https://hooks.example.com/", b"", {})


def test_public_addresses() -> None:
    assert all(map(is_public, (PUBLIC, "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001::1")))


@given(st.ip_addresses())
def test_the_deny_list_is_at_least_as_strict_as_the_standard_library(address: object) -> None:
    if is_public(str(address)):
        assert getattr(address, "is_global")  # noqa: B009  of either kind
        assert not getattr(address, "is_multicast")  # noqa: B009
        assert not getattr(address, "is_private")  # noqa: B009


async def test_a_name_that_changes_its_mind_is_pinned(canary: list[int]) -> None:
    """S32: looked up once; what is connected to is what was judged."""
    answers = [[PUBLIC], ["127.0.0.1"]]

    async def resolve(host: str, port: int) -> Sequence[str]:
        assert (host, port) == ("hooks.example.com", 443)
        return answers.pop(0)

    out = Outbound(Allowed(any_public=True), resolve=resolve)
    # the tests' own guard sees where the connection goes
    with pytest.raises(Exception, match=r"connect to '8\.8\.8\.8'"):
        await out.safe_post("https://hooks.example.com/", b"{}", {})
    assert answers == [["127.0.0.1"]]
    assert canary[1:] == []


async def test_only_what_is_listed() -> None:
    out = Outbound(Allowed.of("hooks.example.com, b.example.org"), resolve=standing_for(PUBLIC))
    assert (await out.admit("https://b.example.org:443/x?y=1")).addresses == (PUBLIC,)
    for host in (
        "example.com",
        "a.hooks.example.com",
        "hooks.example.com.evil.test",
        "c.example.org",
    ):
        with pytest.raises(TargetRefused):
            await out.admit(f"https://{host}/")
    with pytest.raises(TargetRefused):
        await Outbound(Allowed(), resolve=nowhere).admit("https://hooks.example.com/")


@pytest.mark.parametrize(
    "text", ["10.0.0.1", "https://a.example", "localhost", "a b", "*.example.com"]
)
def test_a_list_that_means_nothing_is_an_error(text: str) -> None:
    with pytest.raises(ConfigurationError):
        Allowed.of(text)


def test_lists() -> None:
    assert Allowed.of(" , ").is_empty
    made = Allowed.of("Hooks.Example.com,localhost:8080, *")
    assert made == Allowed(
        names=frozenset({"hooks.example.com"}), any_public=True, loopback=frozenset({8080})
    )


async def test_this_machine_only_where_it_is_listed(canary: list[int]) -> None:
    port = canary[0]
    for allowed in (Allowed(any_public=True), Allowed(loopback=frozenset({port + 1}))):
        with pytest.raises(TargetRefused):
            await Outbound(allowed).safe_post(f"http://localhost:{port}/", b"", {})
    assert canary[1:] == []
    listed = Outbound(Allowed.of(f"localhost:{port}"))
    for url in (
        f"http://127.0.0.1:{port}/",
        f"https://localhost:{port}/",
        f"http://a@localhost:{port}",
    ):
        with pytest.raises(TargetRefused):
            await listed.safe_post(url, b"", {})
    with pytest.raises(NotDelivered):
        await listed.safe_post(f"http://localhost:{port}/", b"", {})
    assert canary[1:] == [1]


@asynccontextmanager
async def answering(answer: object, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server; `answer` handles each request."""
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)  # type: ignore[arg-type]
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def test_nothing_is_followed_and_nothing_of_ours_is_sent(
    canary: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """S31, S41."""
    got = []

    async def redirect(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        got.append((request.method, headers, await request.read()))
        answer = web.Response(status=307, headers={"location": f"http://127.0.0.1:{canary[0]}/"})
        answer.set_cookie("a", "b")
        return answer

    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{canary[0]}")
    async with answering(redirect) as port:
        out = Outbound(Allowed.of(f"localhost:{port}"))
        for _ in range(2):
            answer = await out.safe_post(
                f"http://localhost:{port}/a%2fb?x=%41", b"{}", {"x-a": "1"}
            )
            assert (answer.status, answer.retry_after) == (307, None)
    assert canary[1:] == []
    method, headers, body = got[1]
    assert (method, body, headers["x-a"]) == ("POST", b"{}", "1")
    assert (headers["host"], headers["accept-encoding"]) == (f"localhost:{port}", "identity")
    assert not {"cookie", "authorization", "proxy-authorization"} & set(headers)


async def test_an_answer_without_end_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """S37."""
    sent = 0

    async def pour(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        answer = web.StreamResponse()
        await answer.prepare(request)
        try:
            while True:
                await answer.write(bytes(1 << 16))
                sent += 1 << 16
        except (ConnectionError, asyncio.CancelledError):
            return answer

    async def stall(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async with answering(pour) as port:
        out = Outbound(Allowed.of(f"localhost:{port}"))
        assert (await out.safe_post(f"http://localhost:{port}/", b"", {})).status == 200
        assert sent < MOST + (32 << 20)  # what sockets hold
    monkeypatch.setattr(outbound, "TIMEOUT", 0.1)
    async with answering(stall) as port:
        out = Outbound(Allowed.of(f"localhost:{port}"))
        with pytest.raises(NotDelivered):
            await out.safe_post(f"http://localhost:{port}/", b"", {})


@pytest.mark.parametrize(
    ("kind", "is_good"), [("good", True), ("wrong_name", False), ("expired", False)]
)
async def test_tls_is_held_to_the_name_and_not_to_the_address(
    kind: str,
    is_good: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Connected to the pinned address, with the certificate of the name."""

    async def hello(_: web.Request) -> web.Response:
        return web.Response(status=204)

    trust = ssl.create_default_context(cafile=str(AUTHORITY))
    async with answering(hello, tls=context(kind)) as port:
        # a certificate for `localhost` is at hand, so the form and the judgement let it through
        target = outbound.Target(
            url=f"https://localhost:{port}/", host="localhost", addresses=("127.0.0.1",)
        )

        async def admit(_: Outbound, __: str) -> outbound.Target:
            return target

        monkeypatch.setattr(Outbound, "admit", admit)
        out = Outbound(Allowed(), context=trust)
        if is_good:
            assert (await out.safe_post("x", b"", {})).status == 204
        else:
            with pytest.raises(NotDelivered):
                await out.safe_post("x", b"", {})


async def test_a_name_that_stands_for_nothing() -> None:
    with pytest.raises(OSError, match="not known"):
        await look_up("hooks.invalid", 443)
    assert set(await look_up("localhost", 443)) <= {"127.0.0.1", "::1"}

    async def fail(host: str, port: int) -> Sequence[str]:
        return await look_up("hooks.invalid", port)

    with pytest.raises(TargetRefused):
        await Outbound(Allowed(any_public=True), resolve=fail).admit("https://a.example.com/")


async def test_waiting_for_a_retry_as_told() -> None:
    async def busy(_: web.Request) -> web.Response:
        return web.Response(status=503, headers={"retry-after": "77"})

    async with answering(busy) as port:
        out = Outbound(Allowed.of(f"localhost:{port}"))
        answer = await out.safe_post(f"http://localhost:{port}/", b"", {})
        assert (answer.status, answer.retry_after) == (503, 77.0)
