"""Exact money: token counts times dated prices, in integers only.

A price is given in micro-dollars per million tokens, which is the same number as picodollars
per token. Quantities are multiplied exactly, summed, and rounded half up to a micro-dollar
once per call. Invariant: no float ever takes part, and everything stays within 0…1e12.
"""

from dataclasses import dataclass

MAX_MICRO = 10**12
PICO_PER_MICRO = 10**6


class MoneyRangeError(ValueError):
    """A price, a quantity or a product left 0…1e12; nothing was computed."""


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Prices of one model in one service tier."""

    input_pico: int  # picodollars per input token
    text_pico: int  # picodollars per text or thinking output token
    image_pico: int  # picodollars per image output token
    query_micro: int = 0  # micro-dollars per search query beyond the free ones


@dataclass(frozen=True, kw_only=True)
class Quantities:
    """What one call used, as billed."""

    input_tokens: int = 0
    text_tokens: int = 0  # text and thinking
    image_tokens: int = 0
    paid_queries: int = 0  # search queries beyond the free monthly allowance


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A cost split by what caused it, in picodollars, with the exact rounded total."""

    input_pico: int
    text_pico: int
    image_pico: int
    query_pico: int

    @property
    def micro(self) -> int:
        """Total in micro-dollars (1e-6 $), rounded half up once."""
        total = self.input_pico + self.text_pico + self.image_pico + self.query_pico
        return (total + PICO_PER_MICRO // 2) // PICO_PER_MICRO


def cost(rates: Rates, used: Quantities) -> Cost:
    """Multiply quantities by rates.

    Raises:
        MoneyRangeError: when anything is negative or the total passes 1e12 micro-dollars.
    """
    for name, value in (*vars(rates).items(), *vars(used).items()):
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_MICRO:
            raise MoneyRangeError(f"{name}={value!r} is outside 0…1e12")
    result = Cost(
        input_pico=used.input_tokens * rates.input_pico,
        text_pico=used.text_tokens * rates.text_pico,
        image_pico=used.image_tokens * rates.image_pico,
        query_pico=used.paid_queries * rates.query_micro * PICO_PER_MICRO,
    )
    if result.micro > MAX_MICRO:
        raise MoneyRangeError(f"a cost of {result.micro} micro-dollars is outside 0…1e12")
    return result


def dollars(micro: int) -> str:
    """Micro-dollars as a dollar string with no rounding: 240000 → "$0.24", 134400 → "$0.1344"."""
    sign = "-" if micro < 0 else ""
    whole, rest = divmod(abs(micro), 10**6)
    digits = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}${whole}.{digits}"


def parse_dollars(text: str) -> int:
    """Dollars as people write them ("0.24", "$0.24", "1") to micro-dollars.

    Raises:
        ValueError: when the text is no amount of 0 to 1,000,000 $ with at most six decimals.
    """
    cleaned = text.strip().removeprefix("$").strip()
    whole, dot, fraction = cleaned.partition(".")
    digits_ok = whole.isascii() and whole.isdigit() and len(whole) <= 7
    fraction_ok = not dot or (fraction.isascii() and fraction.isdigit() and len(fraction) <= 6)
    if not digits_ok or not fraction_ok:
        raise ValueError(f"{text!r} is not an amount in dollars, such as 0.30")
    micro = int(whole) * 10**6 + int(fraction.ljust(6, "0"))
    if micro > MAX_MICRO:
        raise ValueError(f"{text!r} is more than 1,000,000 dollars")
    return micro
