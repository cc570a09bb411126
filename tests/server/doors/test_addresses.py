"""S13: what a client writes about addresses counts only as far as trusted proxies wrote it."""

from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import ConfigurationError
from heliograph.server.addresses import (
    Addresses,
    block_of,
    check_path,
    is_loopback,
    open_addresses,
)
from heliograph.server.faults import Fault
from heliograph.settings import Settings

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def scope(peer: str | None, **headers: str) -> dict[str, Any]:
    return {
        "type": "http",
        "scheme": "http",
        "client": (peer, 1) if peer else None,
        "server": ("192.168.1.5", 80),
        "headers": [
            (k.replace("_", "-").encode(), v.encode("latin-1")) for k, v in headers.items()
        ],
    }


@pytest.mark.parametrize(
    ("peer", "told", "found"),
    [
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, 10.1.1.1", "203.0.113.9"),
        ("10.0.0.1", "10.1.1.1", "10.1.1.1"),
        ("10.0.0.1", "6.6.6.6, nonsense", "10.0.0.1"),
        ("10.0.0.1", "6.6.6.6, nonsense, 10.2.2.2", "10.2.2.2"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("::ffff:10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
        ("fd00::1%eth0", "2001:db8::2", "2001:db8::2"),
        (None, "203.0.113.9", "unknown"),
    ],
)
def test_the_client_is_the_last_one_no_proxy_stands_for(
    peer: str | None, told: str, found: str
) -> None:
    addresses = Addresses(hosts=frozenset(), proxies=PROXIES)
    others = {"x_real_ip": "6.6.6.6", "forwarded": "for=6.6.6.6", "true_client_ip": "6.6.6.6"}
    assert addresses.client(scope(peer, x_forwarded_for=told, **others)) == found


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=200))
def test_nothing_told_by_a_stranger_counts(told: str) -> None:
    addresses = Addresses(hosts=frozenset(), proxies=PROXIES)
    assert addresses.client(scope("192.0.2.1", x_forwarded_for=told)) == "192.0.2.1"
    # nor does anything before what the proxy itself has written
    assert addresses.client(scope("10.0.0.1", x_forwarded_for=f"{told}, 192.0.2.7")) == "192.0.2.7"


def test_links_use_the_set_address_or_the_host_that_was_named() -> None:
    plain = Addresses(hosts=frozenset({"helio.test"}), proxies=PROXIES)
    assert plain.base(scope("1.1.1.1", host="Helio.test:8700")) == "http://helio.test:8700"
    proxied = scope("10.0.0.1", host="helio.test", x_forwarded_proto="http, https")
    assert plain.base(proxied) == "https://helio.test"
    forged = scope("1.1.1.1", host="helio.test", x_forwarded_proto="https")
    assert plain.base(forged) == "http://helio.test"
    for header in ({"x_forwarded_host": "evil.test"}, {"forwarded": "host=evil.test"}):
        assert plain.base(scope("10.0.0.1", host="helio.test", **header)) == "http://helio.test"
    named = Addresses(hosts=frozenset(), url="https://images.test/helio/")
    assert named.base(scope("1.1.1.1", host="evil.test")) == "https://images.test/helio"
    with pytest.raises(Fault):
        plain.base(scope("1.1.1.1", host="evil.test"))


def test_an_address_is_ours_if_the_connection_came_to_it() -> None:
    plain = Addresses(hosts=frozenset())
    assert plain.check_host(scope("1.1.1.1", host="192.168.1.5:80")) == "192.168.1.5:80"
    with pytest.raises(Fault):
        plain.check_host(scope("1.1.1.1", host="192.168.1.6"))


@given(st.binary(max_size=40))
def test_a_path_has_one_spelling(tail: bytes) -> None:
    from urllib.parse import unquote

    raw = b"/" + tail
    try:
        check_path({"raw_path": raw, "path": ""})
    except Fault:
        return
    parts = unquote(raw.decode()).split("/")[1:]
    assert "." not in parts
    assert ".." not in parts
    assert "" not in parts[:-1]
    assert not set("\\;\x00\r\n") & set("".join(parts))


def test_networks_are_counted_as_one_client() -> None:
    assert block_of("2001:db8:1:2:3::4") == block_of("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    assert block_of("192.0.2.1") == "192.0.2.1"
    assert block_of("unknown") == "unknown"
    assert is_loopback("127.8.8.8")
    assert is_loopback("::1")
    assert not is_loopback("192.0.2.1")
    assert not is_loopback("unknown")


def test_settings_are_read_and_checked() -> None:
    found = open_addresses(
        Settings(
            server_hosts="a.test, B.test,[2001:db8::1]",
            server_proxies="10.0.0.0/8, ::1",
            server_url="https://c.test:8443/helio",
        )
    )
    assert found.hosts == {"a.test", "b.test", "[2001:db8::1]", "c.test"}
    assert len(found.proxies) == 2
    for hosts in ("a.test:80", "a b", "a.test/x"):
        with pytest.raises(ConfigurationError, match="server_hosts"):
            open_addresses(Settings(server_hosts=hosts))
    with pytest.raises(ConfigurationError, match="server_proxies"):
        open_addresses(Settings(server_proxies="x"))
