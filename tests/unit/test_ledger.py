"""Settling: from usage where it can be believed, by the table where it cannot; and the lines."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.storage.calls import ASK, NOON, a_call

from heliograph.errors import Charged, CostLimitExceeded
from heliograph.ledger import (
    ACCOUNTS,
    Balance,
    accounts_of,
    apply,
    budget_exceeded,
    budget_of,
    default_scopes,
    hold_line,
    hold_release_line,
    is_budget,
    month_start,
    refuse_above_limit,
    release_line,
    reserve_line,
    resolved_line,
    scopes_of,
    settle,
    settle_line,
)
from heliograph.money import MAX_MICRO, MoneyRangeError
from heliograph.planning import plan
from heliograph.types import Grounding, LedgerLine, Plan, Request, Usage

LATER = NOON + timedelta(seconds=40)


def plan_for(**fields: object) -> Plan:
    return plan(Request(prompt="A snow leopard", **fields))  # type: ignore[arg-type]


def usage(**fields: object) -> Usage:
    base = {"prompt_tokens": 8, "candidate_tokens": 2020, "image_tokens": 2000}
    return Usage(**{**base, "thought_tokens": 192, "tier": "standard", **fields})  # type: ignore[arg-type]


def test_usage_is_settled_by_modality() -> None:
    settled = settle(plan_for(), usage(), ["4K"])
    # 8 × $2/M + (20 + 192) × $12/M + 2000 × $120/M
    assert settled.micro == 16 + 2_544 + 240_000
    assert settled.anomaly is None


def test_reported_tokens_count_even_where_the_table_says_otherwise() -> None:
    settled = settle(plan_for(), usage(candidate_tokens=2120, image_tokens=2100), ["4K"])
    assert (settled.quantities.image_tokens, settled.quantities.text_tokens) == (2100, 212)


def test_every_emitted_image_is_settled() -> None:
    settled = settle(plan_for(), usage(candidate_tokens=4000, image_tokens=4000), ["4K", "4K"])
    assert settled.cost.image_pico == 2 * 240_000 * 10**6


def test_a_downgrade_is_settled_at_what_came() -> None:
    small = usage(candidate_tokens=1120, image_tokens=1120, thought_tokens=0, prompt_tokens=0)
    assert settle(plan_for(), small, ["1K"]).micro == 134_400
    assert settle(plan_for(), None, ["1K"]).micro == 134_400


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (None, "usage missing"),
        (usage(anomaly="candidatesTokenCount=-1", candidate_tokens=0, image_tokens=0), "-1"),
        (usage(image_tokens=0), "no image tokens"),
    ],
)
def test_unbelievable_usage_falls_back_to_the_table(bad: Usage | None, why: str) -> None:
    settled = settle(plan_for(), bad, ["4K"])
    assert settled.cost.image_pico == 240_000 * 10**6
    assert why in str(settled.anomaly)


def test_missing_modalities_are_not_paid_twice() -> None:
    # 2020 tokens without details: 2000 of them are the image, 20 are text
    assert settle(plan_for(), usage(image_tokens=0, thought_tokens=0), ["4K"]).micro == 240_256


def test_the_served_tier_counts() -> None:
    asked = plan_for(tier="priority")
    assert settle(asked, usage(tier="standard"), ["4K"]).tier == "standard"
    assert settle(asked, usage(tier="priority"), ["4K"]).cost.image_pico == 432_000 * 10**6
    assert settle(asked, usage(tier=None), ["4K"]).tier == "priority"
    assert settle(asked, usage(tier="nonsense"), ["4K"]).tier == "priority"
    assert settle(plan_for(tier="flex"), usage(tier="flex"), ["4K"]).cost.image_pico == (
        120_000 * 10**6
    )


def test_search_queries_beyond_the_free_ones() -> None:
    grounding = Grounding(queries=("a", "b"), image_queries=("c",))
    asked = plan_for(ground="web")
    free = settle(asked, usage(), ["4K"], grounding=grounding, queries_before=0)
    some = settle(asked, usage(), ["4K"], grounding=grounding, queries_before=4998)
    all_ = settle(asked, usage(), ["4K"], grounding=grounding, queries_before=6000)
    assert [s.quantities.paid_queries for s in (free, some, all_)] == [0, 1, 3]
    assert all_.micro - free.micro == 42_000
    assert {s.queries for s in (free, some, all_)} == {3}


def test_usage_that_is_missing_for_an_answer_without_images_is_no_anomaly() -> None:
    nothing = settle(plan_for(), None, [])
    assert (nothing.micro, nothing.anomaly, nothing.queries) == (0, None, 0)
    assert settle(plan_for(), usage(image_tokens=0, candidate_tokens=20), []).anomaly is None
    assert nothing.tier == "standard"


def test_the_image_is_never_taken_off_the_text_twice() -> None:
    # the table counts 2000 tokens for the picture, and only 500 were reported in all
    odd = usage(candidate_tokens=500, image_tokens=0, thought_tokens=7)
    assert settle(plan_for(), odd, ["4K"]).quantities.text_tokens == 7


@pytest.mark.parametrize(
    ("size", "tokens"),
    [("1K", 1120), ("2K", 1120), ("4K", 2000), (None, 2000), ("8K", 2000)],
)
def test_a_size_that_is_not_listed_is_settled_as_the_asked_one(
    size: str | None, tokens: int
) -> None:
    assert settle(plan_for(), None, [size]).quantities.image_tokens == tokens
    small = plan_for(size="1K")
    wanted = tokens if size in ("2K", "4K") else 1120
    assert settle(small, None, [size]).quantities.image_tokens == wanted


def test_a_model_without_sizes_is_settled_by_its_dearest_row() -> None:
    bare = replace(plan_for(), size=None)
    assert settle(bare, None, [None]).quantities.image_tokens == 2000
    unlisted = replace(bare, prices=replace(bare.prices, image_tokens={}))
    assert settle(unlisted, None, [None]).quantities.image_tokens == 0
    tokens = {"": 1290, "4K": 2000}
    single = replace(bare, prices=replace(bare.prices, image_tokens=tokens))
    assert settle(single, None, [None, None]).quantities.image_tokens == 2580
    renamed = replace(bare, size="512")
    assert settle(renamed, None, [None]).quantities.image_tokens == 2000


def test_the_last_free_query_is_free() -> None:
    one = Grounding(queries=("a",))
    for before, paid in ((4999, 0), (5000, 1), (5001, 1)):
        settled = settle(plan_for(), usage(), ["4K"], grounding=one, queries_before=before)
        assert settled.quantities.paid_queries == paid
    assert settle(plan_for(), usage(), ["4K"], grounding=Grounding()).queries == 0
    for queries, paid in ((5000, 0), (5001, 1)):
        many = Grounding(queries=("a",) * queries)
        first_of_the_month = settle(plan_for(), usage(), ["4K"], grounding=many)
        assert first_of_the_month.quantities.paid_queries == paid


# ---------------------------------------------------------------- lines


def test_the_line_can_be_checked_by_hand() -> None:
    asked = plan_for()
    grounding = Grounding(queries=("a", "b"))
    settled = settle(asked, usage(), ["4K"], grounding=grounding)
    call = a_call(simulated=True, reserved=300_000)
    assert settle_line(call, asked, settled, "4K", at=LATER) == LedgerLine(
        entry_id="job-0001-1-settle",
        record_id="job-0001",
        call_id="job-0001-1",
        kind="settle",
        micro=242_560,
        at=LATER,
        model="gemini-3-pro-image",
        size="4K",
        price_version="gemini-3-pro-image@2026-11-22",
        simulated=True,
        scopes=call.scopes,
        detail={
            "tier": "standard",
            "queries": 2,
            "quantities": {
                "input_tokens": 8,
                "text_tokens": 212,
                "image_tokens": 2000,
                "paid_queries": 0,
            },
            "pico": {
                "input_pico": 16 * 10**6,
                "text_pico": 2_544 * 10**6,
                "image_pico": 240_000 * 10**6,
                "query_pico": 0,
            },
            "anomaly": None,
        },
    )


@pytest.mark.parametrize(
    ("reserved", "over"), [(242_560, None), (242_559, 1), (200_000, 42_560), (242_561, None)]
)
def test_more_than_was_set_aside_is_settled_all_the_same_and_shown(
    reserved: int, over: int | None
) -> None:
    asked = plan_for()
    settled = settle(asked, usage(), ["4K"])
    line = settle_line(a_call(reserved=reserved), asked, settled, None, at=LATER, note="odd")
    assert line.micro == 242_560
    assert line.size is None
    assert line.detail.get("over_reserve") == over
    assert line.detail["note"] == "odd"
    assert ("over_reserve" in line.detail) == (over is not None)


@pytest.mark.parametrize(
    ("make", "kind", "micro"),
    [
        (reserve_line, "reserve", ASK),
        (release_line, "release", -ASK),
        (hold_line, "hold", ASK),
        (hold_release_line, "hold_release", -ASK),
    ],
)
def test_each_line_of_a_reservation(make: Any, kind: str, micro: int) -> None:
    call = a_call()
    assert make(call, plan_for(size="2K"), LATER) == LedgerLine(
        entry_id=f"job-0001-1-{kind}",
        record_id="job-0001",
        call_id="job-0001-1",
        kind=kind,
        micro=micro,
        at=LATER,
        model="gemini-3-pro-image",
        size="2K",
        price_version="gemini-3-pro-image@2026-11-22",
        simulated=False,
        scopes=call.scopes,
    )


@pytest.mark.parametrize("micro", [0, 1, MAX_MICRO])
def test_a_call_is_resolved_with_what_the_bill_says(micro: int) -> None:
    line = resolved_line(a_call(), plan_for(), micro, LATER)
    assert (line.kind, line.micro, line.at) == ("settle", micro, LATER)
    assert line.entry_id == "job-0001-1-settle", "a call is settled once, whoever does it"
    assert line.detail == {"note": "resolved by hand"}


@pytest.mark.parametrize("micro", [-1, MAX_MICRO + 1])
def test_no_bill_says_that(micro: int) -> None:
    with pytest.raises(MoneyRangeError, match=f"{micro} micro-dollars are outside"):
        resolved_line(a_call(), plan_for(), micro, LATER)


# ---------------------------------------------------------------- limits


def test_a_limit_refuses_before_anything_is_sent() -> None:
    asked = plan_for(max_cost=150_000)
    high, expected = asked.estimate.high, asked.estimate.expected
    with pytest.raises(CostLimitExceeded, match=r"above the limit of \$0\.15") as caught:
        refuse_above_limit(asked)
    assert caught.value.exit_code == 7
    assert caught.value.charged is Charged.NO
    assert caught.value.facts == {"high": high, "expected": expected, "limit": 150_000}
    refuse_above_limit(plan_for(max_cost=high))
    with pytest.raises(CostLimitExceeded):
        refuse_above_limit(plan_for(max_cost=high - 1))
    refuse_above_limit(plan_for())


def test_the_first_way_that_fits_the_limit_is_named() -> None:
    asked = plan_for(max_cost=1)
    alternatives = tuple(
        replace(asked.alternatives[0], model=name, size=size, tier="flex", expected=micro)
        for name, size, micro in (("dear", "4K", 101), ("fits", "2K", 100), ("cheap", "1K", 50))
    )

    def remedy(limit: int, **changes: Any) -> str:
        request = replace(asked.request, max_cost=limit)
        with pytest.raises(CostLimitExceeded) as caught:
            refuse_above_limit(replace(asked, request=request, **changes))
        return str(caught.value.remedy)

    told = remedy(100, alternatives=alternatives)
    assert told.endswith("smaller size. fits 2K in tier flex would cost about $0.0001.")
    bare = replace(alternatives[1], size=None)
    assert "fits  in tier flex" in remedy(100, alternatives=(bare,))
    batch = replace(alternatives[2], tier="batch")  # can be priced, but not sent yet
    assert "fits" in remedy(100, alternatives=(batch, *alternatives))
    for nothing in (
        remedy(49, alternatives=alternatives),
        remedy(100, alternatives=()),
        remedy(100, alternatives=(batch,)),
    ):
        assert nothing.endswith("choose a smaller size.")


# ---------------------------------------------------------------- budgets


def test_every_kind_of_line_has_its_account() -> None:
    assert dict(ACCOUNTS) == {
        "reserve": "reserved",
        "release": "reserved",
        "settle": "settled",
        "adjust": "settled",
        "hold": "held",
        "hold_release": "held",
    }


@pytest.mark.parametrize("kind", ACCOUNTS)
def test_a_line_changes_its_own_account_only(kind: str) -> None:
    before = Balance(scope="total", simulated=True, settled=100, reserved=20, held=3)
    assert before.taken == 123
    line = replace(reserve_line(a_call(), plan_for(), LATER), kind=kind, micro=-7)
    after = apply(before, line)
    account = ACCOUNTS[kind]
    assert after == replace(before, **{account: getattr(before, account) - 7})
    assert after.taken == 116
    assert apply(after, replace(line, micro=7)) == before


def test_a_kind_of_line_that_no_account_knows_is_a_fault() -> None:
    line = replace(reserve_line(a_call(), plan_for(), LATER), kind="gift")
    with pytest.raises(KeyError, match="gift"):
        apply(Balance(scope="total", simulated=False), line)


@given(st.integers(0, MAX_MICRO), st.integers(0, MAX_MICRO))
def test_a_call_that_was_closed_has_taken_what_it_cost(reserved: int, micro: int) -> None:
    call, asked = a_call(reserved=reserved), plan_for()
    balance = Balance(scope="total", simulated=False)
    lines = [
        reserve_line(call, asked, NOON),
        hold_line(call, asked, NOON),
        release_line(call, asked, NOON),
        resolved_line(call, asked, micro, LATER),
        hold_release_line(call, asked, LATER),
    ]
    for line in lines:
        balance = apply(balance, line)
    assert balance == Balance(scope="total", simulated=False, settled=micro)


def test_a_balance_begins_with_nothing() -> None:
    empty = Balance(scope="total", simulated=False)
    assert (empty.settled, empty.reserved, empty.held, empty.taken) == (0, 0, 0, 0)


def test_a_call_counts_where_it_began() -> None:
    late = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
    assert default_scopes(late) == ("day/2026-11-30", "month/2026-11", "total")
    assert scopes_of(late, ZoneInfo("Asia/Tokyo"), ["b", "a", "b"]) == (
        "day/2026-12-01",
        "month/2026-12",
        "tag/a",
        "tag/b",
        "total",
    )
    there = late.astimezone(timezone(timedelta(hours=9)))
    assert default_scopes(there) == default_scopes(late)


@pytest.mark.parametrize(
    ("scope", "budget"),
    [
        ("total", "total"),
        ("day/2026-11-30", "day"),
        ("month/2026-11", "month"),
        ("tag/day", "tag/day"),
        ("tag/a", "tag/a"),
        ("user/ab12", "user/ab12"),
        ("user/ab12/day/2026-11-30", "user/ab12/day"),
        ("user/ab12/month/2026-11", "user/ab12/month"),
        ("key/xY9", "key/xY9"),
        ("key/xY9/day/2026-11-30", "key/xY9/day"),
    ],
)
def test_the_budget_of_a_scope(scope: str, budget: str) -> None:
    assert budget_of(scope) == budget


def test_a_call_of_a_gateway_counts_for_its_user_and_key() -> None:
    now = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
    accounts = accounts_of(Request(prompt="A fox", owner="u1", access="k1"))
    assert accounts == ("user/u1", "key/k1")
    assert accounts_of(Request(prompt="A fox")) == ()
    scopes = scopes_of(now, ZoneInfo("UTC"), (), accounts)
    assert set(scopes) - set(default_scopes(now)) == {
        *("user/u1", "user/u1/day/2026-11-30", "user/u1/month/2026-11"),
        *("key/k1", "key/k1/day/2026-11-30", "key/k1/month/2026-11"),
    }
    assert all(is_budget(budget_of(scope)) for scope in scopes)


@pytest.mark.parametrize(
    "name",
    ["", "user", "user/", "user/a/", "user/a/week", "user/a/day/x", "key/", "tag", "tag/", "days"],
)
def test_what_is_no_budget(name: str) -> None:
    assert not is_budget(name)


@pytest.mark.parametrize(
    ("scope", "budget", "words"),
    [
        ("total", "total", "The budget has $0.06 left"),
        ("day/2026-11-30", "day", "The budget of the day has"),
        ("month/2026-11", "month", "The budget of the month has"),
        ("tag/campaign", "tag/campaign", "The budget of tag campaign has"),
        ("user/u1", "user/u1", "The budget of this user has"),
        ("key/k1/day/2026-11-30", "key/k1/day", "The budget of this key for the day has"),
    ],
)
def test_a_budget_that_has_not_enough_left(scope: str, budget: str, words: str) -> None:
    taken = Balance(scope=scope, simulated=False, settled=10_000, reserved=20_000, held=10_000)
    error = budget_exceeded(taken, 100_000, 240_000)
    assert words in error.what
    assert error.what.endswith("has $0.06 left; this may cost up to $0.24.")
    assert error.why == (
        "Of $0.10, $0.01 are spent, $0.02 set aside for calls under way, "
        "$0.01 held for calls of unknown outcome."
    )
    assert error.facts == {
        "budget": budget,
        "scope": scope,
        "limit": 100_000,
        "settled": 10_000,
        "reserved": 20_000,
        "held": 10_000,
        "ask": 240_000,
    }


def test_a_budget_that_is_overdrawn_has_nothing_left() -> None:
    error = budget_exceeded(Balance(scope="total", simulated=False, settled=200), 100, 1)
    assert "$0.00 left" in error.what
    assert error.why == "Of $0.0001, $0.0002 are spent."
    even = budget_exceeded(Balance(scope="total", simulated=False, settled=100), 100, 1)
    assert "$0.00 left" in even.what


def test_months_begin_at_midnight_in_california() -> None:
    assert month_start(datetime(2026, 11, 1, 6, 59, tzinfo=UTC)) == datetime(
        2026, 10, 1, 7, tzinfo=UTC
    )
    assert month_start(datetime(2026, 11, 22, tzinfo=UTC)) == datetime(2026, 11, 1, 7, tzinfo=UTC)
    assert month_start(datetime(2026, 12, 31, tzinfo=UTC)) == datetime(2026, 12, 1, 8, tzinfo=UTC)
