"""Turns and the one probe."""

import pytest

from heliograph.providers.turnstile import PROBE_LEASE, PROBE_WAIT, Pass, Turnstile, Wait


def probe(turnstile: Turnstile, now: float) -> Pass:
    passed = turnstile.admit_one(now, "why")
    assert isinstance(passed, Pass)
    assert passed.probe
    return passed


def test_everyone_gets_the_same_pass() -> None:
    turnstile = Turnstile()
    assert turnstile.admit() == turnstile.admit()
    assert not turnstile.admit().probe
    assert turnstile.is_current(turnstile.admit())


def test_no_turn_comes_back() -> None:
    turnstile = Turnstile()
    passes = []
    for _ in range(9):
        passes.append(turnstile.admit())
        turnstile.turn()
    assert len(set(passes)) == 9
    assert not any(turnstile.is_current(passed) for passed in passes)


@pytest.mark.parametrize("seconds", [0.0, 1.0, 599.9])
def test_one_probe_holds_the_place(seconds: float) -> None:
    turnstile = Turnstile()
    before = turnstile.admit()
    first = probe(turnstile, 100.0)
    assert not turnstile.is_current(before), "what began before the probe counts no longer"
    assert turnstile.is_current(first)
    assert turnstile.admit_one(100.0 + seconds, "why") == Wait(seconds=PROBE_WAIT, why="why")
    assert turnstile.is_current(first)


def test_a_turn_frees_the_place() -> None:
    turnstile = Turnstile()
    first = probe(turnstile, 0.0)
    turnstile.turn()
    assert not turnstile.is_current(first)
    assert turnstile.is_current(probe(turnstile, 0.0))


def test_a_probe_that_is_lost_frees_its_place() -> None:
    # longer than a call of 300 s with its grace of 120 s
    assert (PROBE_WAIT, PROBE_LEASE) == (5.0, 600.0)
    turnstile = Turnstile()
    lost = probe(turnstile, 0.0)
    second = probe(turnstile, 600.0)
    assert not turnstile.is_current(lost)
    assert turnstile.is_current(second)
    assert isinstance(turnstile.admit_one(1199.9, "why"), Wait), "its own time has begun"
