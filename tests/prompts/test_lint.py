"""Warnings: what is probably not meant, and what must not be warned of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.prompts import Asked, lint

AT_1K = Asked(size="1K", pixels=("1024x1024",))
AT_4K = Asked(size="4K", pixels=("4096x4096",))


def codes(text: str, asked: Asked | None = None) -> list[str]:
    return [concern.code for concern in lint(text, asked)]


@pytest.mark.parametrize(
    "text",
    [
        "a fox\u200b in snow",
        "a fox\x07",
        "a\u00adfox",
        "\ufefffox",
        "fox \u202e wons",
        "fox\u2028snow",
        "a \U000e0041 fox",
        "a\u200dfox",
        "left\u200eright",
        "\x1b[31mred",
        "a\x00b",
        "\u200d",
    ],
    ids=ascii,
)
def test_invisible_characters(text: str) -> None:
    assert codes(text) == ["invisible_characters"]


@pytest.mark.parametrize(
    "text",
    [
        "two\nlines and a\ttab",
        "a family 👨‍👩‍👧 and a 🏳️‍🌈 flag, 👩🏽‍🚀",
        "कार्यक्रम क्‍ष",
        "می‌خواهم",
        "שלום \u200f world",
        "naïve café, 雪豹, ½ × 3 – “ok”…",
        "a\u00a0fox",
    ],
    ids=ascii,
)
def test_visible_characters(text: str) -> None:
    assert codes(text) == []


@pytest.mark.parametrize(
    ("text", "character"),
    [
        ('a sign "OPEN', 8),
        ('"A" and "B', 9),
        ("a sign “OPEN", 8),
        ("a sign OPEN”", 12),
        ("ein Schild „OFFEN", 12),
        ("«OUVERT", 1),
        ("「開", 1),
    ],
)
def test_quotation_marks_without_a_partner(text: str, character: int) -> None:
    (concern,) = lint(text)
    assert concern.code == "unbalanced_quotes"
    assert f"character {character} " in concern.message


@pytest.mark.parametrize(
    "text",
    [
        'a sign "OPEN"',
        "it's the dog's sign, rock 'n' roll",
        'a 27" monitor',
        'a 27" monitor that says "HI"',
        "“OPEN” and “CLOSED”",
        "ein Schild „OFFEN“ und „ZU“",
        "en skylt ”ÖPPET”",
        "«OUVERT» 「開」『休』",
    ],
)
def test_quotation_marks_in_pairs(text: str) -> None:
    assert codes(text) == []


@pytest.mark.parametrize(
    ("text", "asked", "found"),
    [
        ("a fox in 4K", AT_1K, ["size_in_words"]),
        ("a fox, 4k resolution", AT_1K, ["size_in_words"]),
        ("a fox in 8 K", AT_4K, ["size_in_words"]),
        ("a fox in 4K", AT_4K, []),
        ("a fox in 4K", None, []),
        ('a sign "4K TV SALE"', AT_1K, []),
        ("a 5K run, 24k gold, $4k, 1,2K", AT_1K, []),
        ("a fox 3840x2160", AT_4K, ["pixels_in_words"]),
        ("a fox 4096 × 4096", AT_4K, []),
        ("a fox 4K, 4096x4096", AT_1K, ["size_in_words", "pixels_in_words"]),
    ],
)
def test_sizes_in_words(text: str, asked: Asked | None, found: list[str]) -> None:
    assert codes(text, asked) == found


def test_a_size_that_no_model_makes_has_another_remedy() -> None:
    (concern,) = lint("a fox in 8K", AT_4K)
    assert "--size" not in concern.remedy
    (other,) = lint("a fox in 4K", AT_1K)
    assert "--size 4K" in other.remedy


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a fox --ar 16:9", ["option_in_words"]),
        ("a fox --no text --v 6", ["option_in_words", "option_in_words"]),
        ("a (fox:1.3) in snow", ["weight_in_words"]),
        ("a fox -- in snow", []),
        ("a sign at (12:30)", []),
        ("a --bold fox", []),
    ],
)
def test_words_of_other_tools(text: str, found: list[str]) -> None:
    assert codes(text) == found


@pytest.mark.parametrize(
    ("tokens", "found"), [(800, []), (801, ["nearly_too_long"]), (1001, ["too_long"])]
)
def test_length(tokens: int, found: list[str]) -> None:
    assert codes("a fox", Asked(tokens=tokens, most_tokens=1000)) == found


@given(st.text())
def test_every_warning_has_a_remedy_and_no_text_crashes(text: str) -> None:
    for concern in lint(text, AT_1K):
        assert concern.message
        assert concern.remedy.endswith(".")
        assert concern.code.replace("_", "").isalpha()
