"""Money: exact, integer, in range."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.money import (
    MAX_MICRO,
    MoneyRangeError,
    Quantities,
    Rates,
    cost,
    dollars,
    parse_dollars,
)

PRO = Rates(input_pico=2_000_000, text_pico=12_000_000, image_pico=120_000_000, query_micro=14_000)
LITE = Rates(input_pico=250_000, text_pico=1_500_000, image_pico=30_000_000)

tokens = st.integers(0, 10**6)
rates = st.builds(Rates, input_pico=tokens, text_pico=tokens, image_pico=tokens, query_micro=tokens)
used = st.builds(
    Quantities, input_tokens=tokens, text_tokens=tokens, image_tokens=tokens, paid_queries=tokens
)


@pytest.mark.parametrize(
    ("quantities", "micro"),
    [
        (Quantities(image_tokens=2000), 240_000),  # a 4K picture on Pro: $0.24
        (Quantities(image_tokens=1120), 134_400),
        (Quantities(input_tokens=8, image_tokens=2000, text_tokens=212), 242_560),
        (Quantities(paid_queries=1), 14_000),
        (Quantities(), 0),
    ],
)
def test_by_hand(quantities: Quantities, micro: int) -> None:
    assert cost(PRO, quantities).micro == micro


def test_half_a_micro_dollar_rounds_up_once() -> None:
    assert cost(LITE, Quantities(input_tokens=2)).micro == 1  # 0.50
    assert cost(LITE, Quantities(input_tokens=1)).micro == 0  # 0.25
    # 0.25 + 1.5 + … summed before rounding, not after
    assert cost(LITE, Quantities(input_tokens=1, text_tokens=1)).micro == 2


@given(rates, used)
def test_the_total_is_the_exact_sum_rounded_half_up(rate: Rates, quantities: Quantities) -> None:
    exact = Fraction(
        quantities.input_tokens * rate.input_pico
        + quantities.text_tokens * rate.text_pico
        + quantities.image_tokens * rate.image_pico,
        10**6,
    ) + Fraction(quantities.paid_queries * rate.query_micro)
    try:
        total = cost(rate, quantities).micro
    except MoneyRangeError:
        assert exact > MAX_MICRO - 1
        return
    assert total - Fraction(1, 2) <= exact < total + Fraction(1, 2)
    assert isinstance(total, int)


@pytest.mark.parametrize("bad", [-1, MAX_MICRO + 1, 1.0, True, "1", None])
def test_out_of_range_is_refused(bad: object) -> None:
    with pytest.raises(MoneyRangeError):
        cost(PRO, Quantities(image_tokens=bad))  # type: ignore[arg-type]
    with pytest.raises(MoneyRangeError):
        cost(Rates(input_pico=bad, text_pico=0, image_pico=0), Quantities())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("micro", "text"),
    [
        (240000, "$0.24"),
        (134400, "$0.1344"),
        (0, "$0.00"),
        (1, "$0.000001"),
        (1000000, "$1.00"),
        (-500000, "-$0.50"),
        (-1, "-$0.000001"),
        (12345678, "$12.345678"),
    ],
)
def test_as_text(micro: int, text: str) -> None:
    assert dollars(micro) == text


@given(st.integers(0, MAX_MICRO))
def test_text_comes_back(micro: int) -> None:
    assert parse_dollars(dollars(micro)) == micro


@pytest.mark.parametrize(
    ("text", "micro"),
    [
        ("1", 10**6),
        (" $ 0.5 ", 500_000),
        ("0.000001", 1),
        ("1000000", MAX_MICRO),
        ("1000000.000000", MAX_MICRO),
        ("0000001", 10**6),
    ],
)
def test_as_people_write_it(text: str, micro: int) -> None:
    assert parse_dollars(text) == micro


@pytest.mark.parametrize("text", ["1000000.000001", "9999999", "1000001"])
def test_more_than_a_million_dollars_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"more than 1,000,000 dollars"):
        parse_dollars(text)


def test_the_most_that_a_call_can_cost() -> None:
    assert MAX_MICRO == 1_000_000 * 10**6
    rate = Rates(input_pico=10**6, text_pico=0, image_pico=0)
    assert rate.query_micro == 0
    assert cost(rate, Quantities(input_tokens=MAX_MICRO)).micro == MAX_MICRO
    # half a micro-dollar more would round up, and a bit less than half would not
    top = Rates(input_pico=10**6, text_pico=1, image_pico=0)
    bit_less = Quantities(input_tokens=MAX_MICRO, text_tokens=499_999)
    assert cost(top, bit_less).micro == MAX_MICRO
    with pytest.raises(MoneyRangeError, match=f"a cost of {MAX_MICRO + 1} micro-dollars"):
        cost(top, replace(bit_less, text_tokens=500_000))


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "x",
        "-1",
        "1e3",
        "0.0000001",
        "1,5",
        "²",
        "99999999",
        "NaN",
        "1.",
        ".5",
        "0.²",
        "0.x",
        "00000001",
    ],
)
def test_what_is_no_amount(bad: str) -> None:
    with pytest.raises(ValueError, match="is not an amount in dollars"):
        parse_dollars(bad)
