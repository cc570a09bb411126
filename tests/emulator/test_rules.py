"""Choosing faults: order, counting, chance."""

from dataclasses import replace
from typing import Any

import pytest

from heliograph.emulator.envelope import ApiError
from heliograph.emulator.faults import FAULTS
from heliograph.emulator.keys import key_hash
from heliograph.emulator.rules import Rulebook, Sight, without_tags


def sight(prompt: str = "", header: str = "", **known: Any) -> Sight:
    facts = {"method": "generateContent", "path": "/v1/models/m:generateContent", **known}
    return Sight(verb="POST", prompt=prompt, header=header, **facts)


def picked(book: Rulebook, what: Sight) -> str | None:
    strike = book.pick(what)
    return None if strike is None else str(strike)


def test_header_before_tag_before_rule() -> None:
    book = Rulebook(1)
    book.add({"action": "internal"})
    assert picked(book, sight("x [[fault:overloaded]]", "depleted")) == "depleted"
    assert picked(book, sight("x [[fault:overloaded]]")) == "overloaded"
    assert picked(book, sight("x")) == "internal"


def test_the_first_rule_that_fires_wins() -> None:
    book = Rulebook(1)
    book.add([{"match": {"model": "a"}, "action": "internal"}, {"action": "overloaded"}])
    assert picked(book, sight(model="a")) == "internal"
    assert picked(book, sight(model="b")) == "overloaded"


@pytest.mark.parametrize(
    ("match", "known"),
    [
        ({"method": "POST"}, {}),
        ({"method": "generateContent"}, {}),
        ({"path": "/v1/models/*"}, {}),
        ({"model": "m"}, {"model": "m"}),
        ({"project": "p"}, {"project": "p"}),
        ({"key": "secret"}, {"key_hash": key_hash("secret")}),
        ({"prompt_contains": "lake"}, {"prompt": "a lake"}),
    ],
)
def test_every_match_field(match: dict[str, str], known: dict[str, str]) -> None:
    book = Rulebook(1)
    book.add({"match": match, "action": "internal"})
    assert picked(book, sight(**known)) == "internal"
    other = Sight(verb="GET", method="get", path="/other", model="x", project="x", prompt="x")
    assert picked(book, other) is None


def test_count_and_nth() -> None:
    book = Rulebook(1)
    book.add([{"action": "internal", "count": 2}, {"action": "overloaded", "nth": 2}])
    found = [picked(book, sight()) for _ in range(5)]
    # The second rule is only asked once the first has had enough.
    assert found == ["internal", "internal", None, "overloaded", None]


def test_chance_repeats_with_its_seed() -> None:
    def run(seed: int) -> list[str | None]:
        book = Rulebook(seed)
        book.add({"action": "internal", "prob": 0.5})
        return [picked(book, sight()) for _ in range(64)]

    assert run(1) == run(1) != run(2)
    assert 15 < run(1).count("internal") < 49


def test_a_tag_can_strike_only_the_first_calls_of_its_prompt() -> None:
    book = Rulebook(1)
    prompts = ["a [[fault:internal*1]]", "b [[fault:internal*1]]"]
    assert [picked(book, sight(prompt)) for prompt in prompts * 2] == [
        "internal",
        "internal",
        None,
        None,
    ]


def test_a_spent_tag_leaves_the_next_one() -> None:
    book = Rulebook(1)
    prompt = "a [[fault:internal*1]] [[fault:rate-minute:3]]"
    assert [picked(book, sight(prompt)) for _ in range(2)] == ["internal", "rate-minute:3"]


def test_tags_are_not_drawn() -> None:
    assert without_tags("a lake [[fault:rate-minute:7*2]] at dawn") == "a lake  at dawn"
    assert without_tags("[[fault:high-demand*1]] x") == "x"


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({}, "at least an action"),
        ({"action": "internal", "when": 1}, "when"),
        ({"action": "internal", "match": {"colour": "x"}}, "colour"),
        ({"action": "no-such-fault"}, "no-such-fault"),
        ({"action": "internal", "nth": "2"}, "nth"),
        ({"action": "internal", "count": 0}, "count"),
        ({"action": "internal", "prob": "often"}, "prob"),
        ({"action": "internal", "match": "all"}, "match"),
        ({"action": "internal", "seed": [1]}, "seed"),
    ],
)
def test_a_wrong_rule_is_refused(rule: dict[str, object], why: str) -> None:
    with pytest.raises(ApiError) as caught:
        Rulebook(1).add(rule)
    assert why in caught.value.note
    assert caught.value.message == caught.value.note


@pytest.mark.parametrize("tag", ["hihg-demand", "Internal", "internal*", ""])
def test_a_wrong_tag_is_never_ignored(tag: str) -> None:
    with pytest.raises(ApiError):
        Rulebook(1).pick(sight(f"x [[fault:{tag}]]"))


def test_an_early_reset_is_counted_once() -> None:
    book = Rulebook(1)
    book.add({"action": "reset-before", "nth": 2})
    struck = []
    for _ in range(3):
        early = book.before_body(sight())
        struck.append(early is not None or book.pick(sight()) is not None)
    assert struck == [False, True, False]


def test_every_fault_explains_itself() -> None:
    assert all(fault.explain and fault.name == name for name, fault in FAULTS.items())
    hooks = ("error", "scene", "picture", "base64", "tree", "text", "delivery")
    assert all(any(getattr(fault, hook) for hook in hooks) for fault in FAULTS.values())


def test_a_rule_waits_for_a_call_it_can_strike() -> None:
    book = Rulebook(1)
    book.add([{"action": "silent-1k", "count": 1}, {"action": "stall-after", "count": 1}])
    small = replace(sight(), small=True)
    assert [picked(book, small) for _ in range(2)] == [None, None]
    assert [picked(book, sight()) for _ in range(3)] == ["silent-1k", "stall-after", None]
