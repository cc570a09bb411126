"""Wildcards: the parser, the seed, the count, and that hostile texts stay cheap."""

import contextlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.effort import within

from heliograph.errors import InvalidRequest
from heliograph.prompts import wildcard
from heliograph.prompts.wildcard import (
    COUNTED,
    MOST_DEPTH,
    Option,
    Steps,
    count,
    escape,
    every,
    expand,
    looks_wild,
    option,
    parse,
)

MOST = 300
# of Python, for one text; 3 million when written
LINES = 20_000_000


class Lists:
    """Word lists in memory."""

    def __init__(self, **lists: list[str]) -> None:
        self._lists = lists

    def entries(self, name: str) -> list[Option]:
        return [option(line, field=name) for line in self._lists[name]]


LISTS = Lists(colour=["red", "2::blue"], sky=["a __colour__ sky", "fog"], one=["only"])

words = st.text(alphabet="ab ,\n", min_size=1, max_size=3)
# texts that are made of groups, so that most of them parse
wild = st.recursive(
    st.one_of(words, st.sampled_from(["__colour__", "__sky__", "{2$$__colour__}", "\\{", "\\|"])),
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda o: "{" + "|".join(o) + "}"),
        st.lists(inner, min_size=2, max_size=3).map(lambda o: "{1-2$$+$$" + "|".join(o) + "}"),
        st.lists(inner, min_size=2, max_size=3).map("".join),
    ),
    max_leaves=8,
)


@given(st.text(alphabet="{}|$:_\\ab12-.*/ \n", max_size=60))
def test_no_text_crashes(text: str) -> None:
    with contextlib.suppress(InvalidRequest):
        tree = parse(text)
        assert isinstance(expand(tree, 1), str)
        assert count(tree) >= 1


@given(st.text())
def test_escaped_text_comes_out_as_it_was(text: str) -> None:
    tree = parse(escape(text))
    assert tree.is_plain
    assert expand(tree, 1) == text
    assert every(tree, most=1) == (text,)


@given(wild, st.integers())
def test_an_expansion_is_one_of_all_and_the_seed_repeats_it(text: str, seed: int) -> None:
    tree = parse(text)
    number = count(tree, LISTS)
    if number > MOST:
        with pytest.raises(InvalidRequest, match=f"{number} combinations"):
            every(tree, LISTS, most=MOST)
        return
    combinations = every(tree, LISTS, most=MOST)
    assert len(combinations) == number
    assert expand(tree, seed, LISTS) in combinations
    assert expand(tree, seed, LISTS) == expand(parse(text), seed, LISTS)


@given(wild)
def test_every_combination_is_reached_by_some_seed(text: str) -> None:
    tree = parse(text)
    if count(tree, LISTS) > 6:
        return
    reached = {expand(tree, seed, LISTS) for seed in range(400)}
    assert reached == set(every(tree, LISTS, most=6))


def test_seeds_give_what_they_have_always_given() -> None:
    """A recorded wildcard seed must still mean the same words in the next release."""
    tree = parse("A {red|silver|white} {2$$fox|owl|elk} in {5::snow|rain}, __sky__")
    assert [expand(tree, seed, LISTS) for seed in (0, 1, 2, 2**40)] == [
        "A white fox, elk in snow, fog",
        "A red owl, elk in snow, a blue sky",
        "A white fox, elk in snow, fog",
        "A red fox, elk in snow, fog",
    ]


def test_three_by_four_by_two_are_twenty_four_in_order() -> None:
    tree = parse("{a|b|c}{1|2|3|4}{x|y}")
    combinations = every(tree, most=24)
    assert len(set(combinations)) == count(tree) == 24
    assert combinations[:3] == ("a1x", "a1y", "a2x")
    assert combinations[-1] == "c4y"


def test_equal_options_are_counted_by_position() -> None:
    assert every(parse("{a|a|b}"), most=3) == ("a", "a", "b")


def test_weights_change_how_often() -> None:
    tree = parse("{8::a|b|c}")
    seen = Counter(expand(tree, seed) for seed in range(1000))
    assert 700 < seen["a"] < 900
    assert 50 < seen["b"] < 160


def test_weights_of_those_that_are_taken() -> None:
    tree = parse("{2$$100::a|100::b|c}")
    seen = Counter(expand(tree, seed) for seed in range(300))
    assert seen["a, b"] > 270


def test_how_many_are_taken_is_even() -> None:
    seen = Counter(expand(parse("{1-3$$a|b|c}"), seed).count(",") for seed in range(900))
    assert all(220 < seen[commas] < 380 for commas in (0, 1, 2)), seen


@pytest.mark.parametrize(
    ("text", "character"),
    [
        ("ab {c|d", 4),
        ("ab } c", 4),
        ("{a|{b|c}", 1),
        ("{a}", 1),
        ("x {5$$a|b}", 3),
        ("{a|0::b}", 4),
    ],
)
def test_an_error_says_where(text: str, character: int) -> None:
    with pytest.raises(InvalidRequest, match=rf"at character {character}\b"):
        parse(text)


@pytest.mark.parametrize("name", ["a", "b"])
def test_lists_in_a_circle_are_refused_with_the_way(name: str) -> None:
    lists = Lists(a=["x __b__"], b=["{y|__a__}", "__a__"])
    tree = parse(f"__{name}__")
    for ask in (lambda: count(tree, lists), lambda: every(tree, lists, most=9)):
        with pytest.raises(InvalidRequest) as refused:
            ask()
        assert "→" in refused.value.problems[0].value
    with pytest.raises(InvalidRequest, match="circle"):
        [expand(tree, seed, lists) for seed in range(50)]


def test_depth_is_bounded() -> None:
    def deep(depth: int) -> str:
        return "{a|" * depth + "b" + "}" * depth

    assert count(parse(deep(MOST_DEPTH))) == MOST_DEPTH + 1
    with pytest.raises(InvalidRequest, match="deep"):
        parse(deep(MOST_DEPTH + 1))
    with pytest.raises(InvalidRequest, match="deep"):
        parse("{a|" * 30_000)


HOSTILE = [
    "{a|b}" * 15_000,
    "{50$$" + "|".join(["a"] * 20_000) + "}",
    "{0-100$$" + "|".join(["{a|b}"] * 9_000) + "}",
    "__bomb__",
    "{a|b}{" + "|".join(["__wide__"] * 5_000) + "}",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda t: t[:12])
def test_hostile_texts_are_cheap(text: str) -> None:
    """Work that grows with the square of a text, or with the ways through it, would be more."""
    # ten lists, each ten times the next one: 10 ** 10 ways, and texts as long
    bomb = {f"b{n}": [f"__b{n + 1}__" * 10] * 10 for n in range(10)}
    lists = Lists(**bomb, b10=["x"] * 10, bomb=["__b0__"], wide=["w"] * 5000)
    for ask in (
        lambda: count(parse(text), lists),
        lambda: expand(parse(text), 1, lists),  # writes up to its limit: the bomb 23 million
        lambda: every(parse(text), lists, most=100),
    ):
        try:
            found = ask() if text == "__bomb__" else within(LINES, ask)
        except InvalidRequest:
            continue
        assert not isinstance(found, str) or len(found) <= wildcard.MOST_CHARACTERS


def test_more_than_can_be_counted() -> None:
    assert count(parse("{a|b}" * 100)) == COUNTED
    with pytest.raises(InvalidRequest, match="a million million or more"):
        every(parse("{a|b}" * 100), most=100)


@pytest.mark.parametrize("text", ["{a|b}", "x {2$$a|b} y", "__colour__", "{a|{b|c}}"])
def test_what_looks_wild(text: str) -> None:
    assert looks_wild(text)
    assert not parse(text).is_plain


@pytest.mark.parametrize(
    "text", ["a fox", '{"subject": "fox"}', "snake_case", "a | b", "____", "{}", "C:\\temp"]
)
def test_what_does_not_look_wild(text: str) -> None:
    assert not looks_wild(text)


def test_several_answers_can_share_an_allowance() -> None:
    tree, steps = parse("{a|b|c}"), Steps(1000)
    for seed in range(10):
        assert expand(tree, seed, steps=steps) == expand(tree, seed)
    assert count(tree, steps=steps) == 3
    spent = Steps(0)
    with pytest.raises(InvalidRequest, match="too many parts"):
        expand(tree, 0, steps=spent)
    with pytest.raises(InvalidRequest, match="too many parts"):
        count(tree, steps=spent)
    shared = Steps(30)
    with pytest.raises(InvalidRequest, match="too many parts"):  # one alone would take less
        "".join(expand(tree, seed, steps=shared) for seed in range(30))
