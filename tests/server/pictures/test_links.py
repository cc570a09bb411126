"""Signed addresses hold only as they were given out (S26, S27)."""

import string
from types import SimpleNamespace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from heliograph.errors import ConfigurationError, InvalidRequest
from heliograph.server.faults import Forbidden, Gone
from heliograph.server.pictures.links import LONGEST, Target, check_link, host_of, signed_url

NOW = 1_800_000_000
ID = "0123456789abcdef" * 2
BASE = "https://images.example.com/helio"
KEYS = (("k2", b"b" * 32), ("k1", b"a" * 32))
TARGET = Target(record=ID, variant="preview.jpg", host="images.example.com")


def a_gateway(*keys: tuple[str, bytes], life: float = 900.0) -> SimpleNamespace:
    settings = SimpleNamespace(server_link_life=life, server_url=None)
    return SimpleNamespace(secrets=SimpleNamespace(signing=keys or KEYS), settings=settings)


GATEWAY = a_gateway()


def a_query(**changes: object) -> str:
    link = signed_url(GATEWAY, ID, "preview.jpg", base=BASE, now=NOW, **changes)  # type: ignore[arg-type]
    return link.partition("?")[2]


def test_a_link_is_good_until_it_expires() -> None:
    link = signed_url(GATEWAY, ID, "preview.jpg", base=BASE, now=NOW)
    path, _, query = link.partition("?")
    assert path == f"{BASE}/pictures/{ID}/preview.jpg"
    check_link(GATEWAY, TARGET, query, now=NOW)
    check_link(GATEWAY, TARGET, query, now=NOW + 899)
    with pytest.raises(Gone):
        check_link(GATEWAY, TARGET, query, now=NOW + 900)


@given(st.integers(0, 200), st.characters(codec="utf-8"))
def test_no_other_query_is_good(place: int, letter: str) -> None:
    """Any one character changed, put in or taken out, anywhere."""
    good = a_query()
    at = place % len(good)
    for bad in (good[:at] + letter + good[at + 1 :], good[:at] + letter + good[at:], good[:at]):
        if bad != good:
            with pytest.raises(Forbidden):
                check_link(GATEWAY, TARGET, bad, now=NOW)


@given(
    st.fixed_dictionaries(
        {
            "record": st.sampled_from((ID, ID[::-1], ID.upper())),
            "variant": st.sampled_from(("preview.jpg", "preview", "original", "preview.jpg/", "")),
            "method": st.sampled_from(("GET", "HEAD", "DELETE", "get")),
            "host": st.sampled_from(("images.example.com", "images.example.com:8443", "evil.test")),
        }
    )
)
def test_no_other_target_is_good(parts: dict[str, str]) -> None:
    asked = Target(**parts)
    assume(asked != TARGET)
    with pytest.raises(Forbidden):
        check_link(GATEWAY, asked, a_query(), now=NOW)


@given(st.text(alphabet=string.printable, max_size=120))
def test_any_text_is_refused(query: str) -> None:
    with pytest.raises(Forbidden):
        check_link(GATEWAY, TARGET, query, now=NOW)


@given(st.integers(NOW, NOW + 10**9), st.sampled_from(("k1", "k2", "k3")))
def test_expiry_and_key_cannot_be_moved(expiry: int, key_id: str) -> None:
    signature = a_query().rpartition("=")[2]
    assume((expiry, key_id) != (NOW + 900, "k2"))
    with pytest.raises(Forbidden):
        check_link(GATEWAY, TARGET, f"v=1&kid={key_id}&exp={expiry}&sig={signature}", now=NOW)


def test_parts_cannot_flow_into_one_another() -> None:
    key = b"k" * 32
    one = Target(record=ID, variant="a", host="b\nc").sign("1", "k", key)
    assert one != Target(record=ID, variant="a", host="b").sign("c\n1", "k", key)
    with pytest.raises(InvalidRequest):
        signed_url(GATEWAY, ID, "a\nb", base=BASE)


def test_keys_rotate_with_overlap() -> None:
    old = a_gateway(KEYS[1])
    query = signed_url(old, ID, "preview.jpg", base=BASE, now=NOW).partition("?")[2]
    check_link(GATEWAY, TARGET, query, now=NOW)
    with pytest.raises(Forbidden):
        check_link(a_gateway(KEYS[0]), TARGET, query, now=NOW)
    with pytest.raises(Forbidden):
        check_link(a_gateway(("k1", b"")), TARGET, query, now=NOW)
    empty = SimpleNamespace(secrets=SimpleNamespace(signing=()), settings=GATEWAY.settings)
    with pytest.raises(ConfigurationError):
        signed_url(empty, ID, "preview.jpg", base=BASE)


@pytest.mark.parametrize("seconds", [0, -1, LONGEST + 1, float("inf"), float("nan"), True])
def test_a_life_is_at_most_a_week(seconds: float) -> None:
    with pytest.raises(InvalidRequest):
        a_query(seconds=seconds)
    check_link(GATEWAY, TARGET, a_query(seconds=LONGEST), now=NOW + LONGEST - 1)


@pytest.mark.parametrize("record", ["", ID[:-1], ID.upper(), f"../{ID}", f"{ID}\n"])
def test_only_whole_ids_are_signed(record: str) -> None:
    with pytest.raises(InvalidRequest):
        signed_url(GATEWAY, record, "original", base=BASE)


def test_the_usual_port_is_no_part_of_a_host() -> None:
    assert host_of("https://A.example:443/x") == host_of("https://a.example")
    assert host_of("http://a.example:80") == "a.example"
    assert host_of("http://a.example:443") == "a.example:443"
