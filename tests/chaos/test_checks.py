"""Each check of a row is shown to complain, also when there is nothing to look at."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.chaos.books import NOON, bill, call, line, record, sound, with_ours

from heliograph.chaos import checks
from heliograph.chaos.evidence import Ended, Evidence, Ours
from heliograph.chaos.row import KEPT, Check
from heliograph.journal import Stage
from heliograph.ports import Event

EMPTY = Evidence(ours=Ours(), bill=())
SALVAGED = with_ours(sound(), records=(record(warnings=("salvaged",)),))
T = NOON.timestamp()


def ended(code: str = KEPT, **more: Any) -> Ended:
    return Ended(prompt="a fox", code=code, began=T, seconds=more.pop("seconds", 1.0), **more)


def retrying(wait: float) -> Event:
    return Event(name="retrying", job="job1", at=0.0, facts={"wait": wait})


def seen(*gap: float, **more: Any) -> Evidence:
    """Calls so many seconds after the first one."""
    lines = tuple(bill(call=f"c{n}", arrived=T + at) for n, at in enumerate((0.0, *gap)))
    return Evidence(ours=Ours(), bill=lines, **more)


@pytest.mark.parametrize(
    ("check", "fine", "wrong"),
    [
        (
            checks.waited(7.0, 7.7),
            seen(7.2, events=(retrying(7.2),)),
            seen(6.9, events=(retrying(6.9),)),
        ),
        (
            checks.waits_told(2.0, 2.2),
            seen(ended=(ended(seconds=2.2),), events=(retrying(2.1),)),
            seen(ended=(ended(seconds=2.5),), events=(retrying(2.4),)),
        ),
        (checks.ended_within(1.0, 2.0), seen(ended=(ended(),)), seen(ended=(ended(seconds=3.0),))),
        (
            checks.answered_soon(0.5),
            seen(ended=(ended(seconds=3.2),)),
            seen(ended=(ended(seconds=9.0),)),
        ),
        (
            checks.charged("no"),
            seen(ended=(ended("not_sent", charged="no"),)),
            seen(ended=(ended("not_sent", charged="unknown"),)),
        ),
        (
            checks.stages(Stage.SETTLED),
            sound(),
            with_ours(sound(), calls=(call(stage=Stage.UNKNOWN),)),
        ),
        (checks.verdict("verified"), sound(), with_ours(sound(), records=())),
        (checks.warned, seen(ended=(ended(warnings=("smaller",)),)), seen(ended=(ended(),))),
        (checks.warned, seen(ended=(ended(verdict="downgraded"),)), sound()),
        (
            checks.warned,
            replace(SALVAGED, ended=(ended(face=True),)),
            replace(SALVAGED, ended=(ended(),)),  # the library has words for it
        ),
        (checks.kept_format("jpeg"), sound(), EMPTY),
        (checks.images_kept(1), sound(), with_ours(sound(), records=())),
        (
            checks.nothing_negative,
            sound(),
            with_ours(sound(), lines=(line(call(), micro=-1),)),
        ),
        (checks.mostly_kept(95), seen(ended=(ended(),)), seen(ended=(ended("no_image"),))),
        (
            checks.calls_per_request(115),
            seen(ended=(ended(),)),
            seen(1.0, ended=(ended(),)),
        ),
        (
            checks.no_bin_holds_more_than(10, 100),
            seen(*(n * 0.05 for n in range(1, 200))),
            seen(*(n * 0.005 for n in range(1, 200))),
        ),
    ],
)
def test_a_check_complains(check: Check, fine: Evidence, wrong: Evidence) -> None:
    assert list(check(fine)) == []
    assert list(check(wrong))
    assert list(check(EMPTY)), "nothing to look at is no reason to be content"


def second(*gap: float, **more: Any) -> Evidence:
    """Second attempts so many seconds after the first ones, which were refused."""
    made = seen(*gap, **more)
    return replace(made, bill=made.bill[1:])


def test_a_machine_that_stood_still_is_told_from_clients_that_come_together() -> None:
    check = checks.no_bin_holds_more_than(10, 100)
    drawn = [2.5 + n * 0.0125 for n in range(200)]
    waits = tuple(retrying(wait) for wait in drawn)
    # it stood still for 0.6 s: what fell due meanwhile comes at once
    late = [max(at, 4.0) if 3.4 <= at < 4.0 else at for at in drawn]
    assert list(check(second(*late, ended=(ended(),), events=waits))) == []
    # nothing tells that these were to be spread
    assert list(check(second(*late, ended=(ended(),))))
    # spread on paper, and then all at once
    assert list(check(second(*[5.0] * 200, ended=(ended(),), events=waits)))
    # drawn together
    same = tuple(retrying(3.0) for _ in drawn)
    assert list(check(second(*[3.0] * 200, ended=(ended(),), events=same)))


@pytest.mark.parametrize(
    ("lump", "late", "holds"),
    [(0.3, 2.0, True), (0.6, 2.0, False), (0.3, -0.3, False)],
    ids=["busy, in small lumps", "busy, in large lumps", "before their time"],
)
def test_a_busy_machine_may_blur_what_was_drawn_and_no_more(
    lump: float, late: float, *, holds: bool
) -> None:
    check = checks.no_bin_holds_more_than(10, 100)
    drawn = [2.5 + n * 0.0125 for n in range(200)]
    came = [math.ceil(at / lump) * lump + late for at in drawn]
    waits = tuple(retrying(wait) for wait in drawn)
    found = list(check(second(*came, ended=(ended(),), events=waits)))
    assert (not found) is holds


def test_a_key_is_found_wherever_it_lies(tmp_path: Path) -> None:
    here = seen(home=tmp_path)
    (tmp_path / "spool").mkdir()
    assert list(checks.keys_nowhere(here)) == ["there is no library to look into"]
    (tmp_path / "spool" / "head.json").write_text("{}")
    assert list(checks.keys_nowhere(here)) == []
    (tmp_path / "spool" / "body.raw").write_bytes(b"x emu-project-1-secret")
    assert list(checks.keys_nowhere(here)) == ["the key stands in spool/body.raw"]
    told = replace(here, ended=(ended(words="refused: emu-project-1"),))
    assert "the error names the key" in list(checks.keys_nowhere(told))


def test_told_to_wait() -> None:
    check = checks.told_to_wait(400)
    assert list(check(seen(ended=(ended("rate_limited", retry_after=400.0),)))) == []
    assert list(check(seen(ended=(ended("rate_limited", retry_after=3.0),))))
    assert list(check(EMPTY))


def test_a_bad_project_is_asked_by_few() -> None:
    bad, good = bill(status=503, arrived=T), bill(call="good", arrived=T + 1)
    once = replace(EMPTY, bill=(bad, good))
    assert list(checks.share_of_a_bad_project(once)) == []
    again = replace(bad, call="again", arrived=T + 2)
    assert list(checks.share_of_a_bad_project(replace(once, bill=(bad, good, again))))
    assert list(checks.share_of_a_bad_project(EMPTY))


def test_a_record_of_another_kind_is_found() -> None:
    made = record()
    png = replace(made.images[0], format="png")
    odd = with_ours(sound(), records=(replace(made, images=(png,)),))
    assert list(checks.kept_format("jpeg")(odd))
