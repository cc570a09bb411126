"""The bucket of repeats: ten to begin with, a tenth more per first attempt, never above ten."""

from hypothesis import given
from hypothesis import strategies as st

from heliograph.providers.retry_budget import RetryBudget


def test_ten_repeats_and_no_more() -> None:
    budget = RetryBudget()
    assert budget.tokens == 10.0
    assert [budget.spend() for _ in range(11)] == [True] * 10 + [False]
    assert budget.tokens == 0.0


def test_ten_first_attempts_pay_for_one_repeat() -> None:
    budget = RetryBudget()
    for _ in range(10):
        budget.spend()
    for _ in range(9):
        budget.first_attempt()
    assert budget.tokens == 0.9
    assert not budget.spend()
    assert budget.tokens == 0.9
    budget.first_attempt()
    assert budget.spend()
    assert not budget.spend()


def test_it_never_holds_more_than_ten() -> None:
    budget = RetryBudget()
    budget.first_attempt()
    assert budget.tokens == 10.0
    budget.spend()
    assert budget.tokens == 9.0
    for _ in range(11):
        budget.first_attempt()
    assert budget.tokens == 10.0


@given(st.lists(st.booleans(), max_size=400))
def test_repeats_stay_below_ten_and_a_tenth_of_the_first_attempts(steps: list[bool]) -> None:
    budget = RetryBudget()
    first = repeats = 0
    for is_first in steps:
        if is_first:
            budget.first_attempt()
            first += 1
        else:
            repeats += budget.spend()
        assert 0.0 <= budget.tokens <= 10.0
        assert repeats <= 10 + first / 10
