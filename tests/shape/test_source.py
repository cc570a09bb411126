"""Every rule of `rules.py` on every file of the package."""

import pytest
from tests.shape.allowed import COUNT, PROCESS_EDGES
from tests.shape.rules import RULES, Rule, no_catch_all
from tests.shape.source import modules


def _named(rule: Rule) -> str:
    return getattr(rule, "__name__", "rule").replace("_", " ")


@pytest.mark.parametrize("rule", RULES, ids=_named)
def test_rule(rule: Rule) -> None:
    allowed = PROCESS_EDGES if rule is no_catch_all else {}
    found = [
        f"src/heliograph/{module.place}:{line}: {words}"
        for module in modules()
        for line, words in rule(module)
        if f"{module.place}: {words.partition(':')[0]}" not in allowed
    ]
    assert not found, f"{_named(rule)}:\n" + "\n".join(found)


def test_the_exception_list_only_shrinks() -> None:
    needed = {
        f"{module.place}: {words.partition(':')[0]}"
        for module in modules()
        for _, words in no_catch_all(module)
    }
    stale = set(PROCESS_EDGES) - needed
    assert not stale, "remove what is not needed any more and lower COUNT"
    assert len(PROCESS_EDGES) == COUNT
    assert all(reason.strip() for reason in PROCESS_EDGES.values())
