"""Settling: from usage where it can be believed, by the table where it cannot."""

from datetime import UTC, datetime

import pytest

from heliograph.errors import CostLimitExceeded
from heliograph.ledger import month_start, refuse_above_limit, settle, settle_line
from heliograph.planning import plan
from heliograph.types import Grounding, Plan, Request, Usage


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


def test_the_line_can_be_checked_by_hand() -> None:
    asked = plan_for()
    line = settle_line("r1", asked, settle(asked, usage(), ["4K"]), "4K", simulated=True)
    assert line.price_version == "gemini-3-pro-image@2026-11-22"
    assert line.detail["quantities"] == {
        "input_tokens": 8,
        "text_tokens": 212,
        "image_tokens": 2000,
        "paid_queries": 0,
    }
    assert (line.micro, line.kind, line.simulated) == (242_560, "settle", True)


def test_a_limit_refuses_before_anything_is_sent() -> None:
    with pytest.raises(CostLimitExceeded, match=r"above the limit of \$0\.10") as caught:
        refuse_above_limit(plan_for(max_cost=100_000))
    assert caught.value.exit_code == 7
    assert caught.value.facts["high"] > 100_000
    refuse_above_limit(plan_for(max_cost=10**6))
    refuse_above_limit(plan_for())


def test_months_begin_at_midnight_in_california() -> None:
    assert month_start(datetime(2026, 11, 1, 6, 59, tzinfo=UTC)) == datetime(
        2026, 10, 1, 7, tzinfo=UTC
    )
    assert month_start(datetime(2026, 11, 22, tzinfo=UTC)) == datetime(2026, 11, 1, 7, tzinfo=UTC)
    assert month_start(datetime(2026, 12, 31, tzinfo=UTC)) == datetime(2026, 12, 1, 8, tzinfo=UTC)
