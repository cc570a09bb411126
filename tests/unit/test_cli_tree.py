"""A session as a tree on the terminal: every version once, in order, within the width."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from tests.contract.records import a_record

from heliograph.cli.tree import ASCII, Signs, drawn
from heliograph.sessions import Session
from heliograph.sessions.tree import tree_of
from heliograph.types import Outcome

BEGUN = datetime(2026, 11, 22, tzinfo=UTC)


def talk(
    parents: list[int],
    *,
    prompts: Mapping[int, str] | None = None,
    failed: frozenset[int] = frozenset(),
    marks: Mapping[str, Any] | None = None,
) -> Session:
    """A session; `parents[i]` is the number of what version i + 2 goes on from."""
    records = []
    for number in range(1, len(parents) + 2):
        follows = f"{parents[number - 2]:032x}" if number > 1 else None
        plain = a_record(f"{number:032x}")
        lost: dict[str, Any] = {}
        if number in failed:
            lost = {"images": (), "outcome": Outcome.REFUSED}
        records.append(
            replace(
                plain,
                created=BEGUN + timedelta(seconds=number),
                size="1K",
                simulated=True,
                prompt=(prompts or {}).get(number, f"change {number}"),
                session="5" * 32,
                follows=follows,
                **lost,
            )
        )
    return tree_of("5" * 32, records, None, marks or {})


def lines(
    tree: Session, width: int = 200, *, every: bool = False, signs: Signs = ASCII
) -> list[str]:
    return [line.plain for line in drawn(tree, every=every, width=width, signs=signs)]


def heads(tree: Session, **options: Any) -> list[str]:
    return [line.split("  1K")[0].rstrip() for line in lines(tree, **options)]


def test_a_long_talk_stays_in_one_column() -> None:
    found = heads(talk(list(range(1, 40))))
    assert found[0] == "  1 change 1"
    assert found[38] == "  39 change 39"
    assert found[39] == "> 40 change 40"


def test_branches_move_to_the_right_and_failures_do_not() -> None:
    tree = talk([1, 1, 2, 2, 5, 3], failed=frozenset({4}))
    assert heads(tree) == [
        "  1 change 1",
        "  |- 2 change 2",
        "  |  |- 4 change 4",
        "  |  5 change 5",
        "  |  6 change 6",
        "  `- 3 change 3",
        ">    7 change 7",
    ]


def test_what_is_removed_is_hidden_unless_something_goes_on_from_it() -> None:
    marks = {"nodes": {f"{n:032x}": {"deleted": "2026-11-22T00:00:00+00:00"} for n in (2, 3)}}
    tree = talk([1, 2, 2], marks=marks)
    assert heads(tree) == ["  1 change 1", "  2 (removed) change 2", "> 4 change 4"]
    assert len(heads(tree, every=True)) == 4


def test_words_are_cut_to_the_width_and_facts_are_not() -> None:
    tree = talk([1], prompts={2: "红色屋顶" * 40})
    (_, cut) = lines(tree, 80, signs=Signs())
    assert "…" in cut
    assert cut.endswith("$0.24 simulated")
    narrow = lines(tree, 40)
    assert len(narrow) == 4
    assert all(ord(c) < 128 or c in "红色屋顶" for line in narrow for c in line)


@given(
    st.integers(2, 30).flatmap(
        lambda count: st.tuples(*(st.integers(1, number - 1) for number in range(2, count + 1)))
    ),
    st.frozensets(st.integers(2, 30), max_size=6),
    st.integers(20, 200),
)
def test_every_version_is_drawn_once_within_the_width(
    parents: tuple[int, ...], failed: frozenset[int], width: int
) -> None:
    tree = talk(list(parents), failed=failed)
    drawing = lines(tree, width)
    assert all(cell_len(line) <= width for line in drawing)
    rows = lines(tree, 400)
    numbers = [int(line.lstrip(">|`- ").split()[0]) for line in rows]
    assert sorted(numbers) == list(range(1, len(parents) + 2))
    place = {number: index for index, number in enumerate(numbers)}
    for number, parent in enumerate(parents, start=2):
        assert place[parent] < place[number]
