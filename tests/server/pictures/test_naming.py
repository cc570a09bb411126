"""Names of downloads as RFC 6266 and RFC 8187 have them, whatever they are made of (S88)."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.server.pictures.naming import disposition

HEADER = re.compile(
    r'(inline|attachment); filename="([^"\\\x00-\x1f\x7f-\xff/%]+)"'
    r"(?:; filename\*=UTF-8''((?:[A-Za-z0-9_.~-]|%[0-9A-F]{2})+))?"
)


@given(st.text(max_size=300), st.sampled_from((".jpg", ".png", ".webp", ".dzi")), st.booleans())
def test_any_name(name: str, suffix: str, attachment: bool) -> None:
    value = disposition(name, suffix, attachment=attachment)
    found = HEADER.fullmatch(value)
    assert found is not None, value
    assert value.isascii()
    assert found[1] == ("attachment" if attachment else "inline")
    for shown in (found[2], unquote(found[3] or "x" + suffix)):
        assert shown.endswith(suffix)
        assert not set(shown) & set('/\\"\r\n\u202e\u2066\u200f\x00')
        assert not shown.startswith(".")
        assert len(shown) <= 130


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ('a"; x="b', 'filename="a_; x=_b.jpg"'),
        ("a\r\nSet-Cookie: x", 'filename="aSet-Cookie_ x.jpg"'),
        ("evil\u202egpj.exe", 'filename="evilgpj.exe.jpg"'),
        ("../../etc/passwd", 'filename="_.._etc_passwd.jpg"'),
        ("sunset.png", 'filename="sunset.jpg"'),
        ("", 'filename="picture.jpg"'),
        ("...", 'filename="picture.jpg"'),
        ("日落", "filename=\"picture.jpg\"; filename*=UTF-8''%E6%97%A5%E8%90%BD.jpg"),
        ("Café", "filename=\"Cafe.jpg\"; filename*=UTF-8''Caf%C3%A9.jpg"),
    ],
)
def test_names(name: str, expected: str) -> None:
    assert disposition(name, ".jpg") == f"inline; {expected}"
