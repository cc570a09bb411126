"""Trees of versions: whatever the records and the card say, there is one, and it has an end."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contract.records import NOON, a_record, an_image

from heliograph.errors import RecordNotFound
from heliograph.sessions.marks import cleaned
from heliograph.sessions.tree import SHOWN, Session, default_name, moment, tree_of
from heliograph.types import Outcome, Record

S = "f" * 32


def turn(number: int, follows: int | str | None = None, **changes: Any) -> Record:
    """A version whose id and time tell its number."""
    before = f"{follows:032x}" if isinstance(follows, int) else follows
    return a_record(
        f"{number:032x}",
        session=S,
        follows=before,
        created=NOON + timedelta(seconds=number),
        prompt=f"turn {number}",
        **changes,
    )


def dead(number: int, follows: int | None = None, outcome: Outcome = Outcome.REFUSED) -> Record:
    return turn(number, follows, outcome=outcome, images=())


def at(second: float) -> str:
    return (NOON + timedelta(seconds=second)).isoformat()


def numbers(tree: Session, ids: tuple[str, ...]) -> list[int]:
    return [tree.nodes[each].number for each in ids]


def head_of(tree: Session) -> int | None:
    return tree.nodes[tree.head].number if tree.head is not None else None


# ---------------------------------------------------------------- whatever is given

ids = st.integers(1, 8).map(lambda n: f"{n:032x}")
records = st.lists(
    st.builds(
        lambda record_id, follows, seconds, outcome, pictured: a_record(
            record_id,
            follows=follows,
            session=S,
            created=NOON + timedelta(seconds=seconds),
            outcome=outcome,
            images=(an_image("a"),) if pictured else (),
        ),
        ids,
        st.none() | ids | st.just("elsewhere"),
        st.integers(-3, 3),
        st.sampled_from(Outcome),
        st.booleans(),
    ),
    max_size=8,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | ids,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)
moments = st.integers(-5, 5).map(at) | st.just("2026-11-30T12:00:00") | json_values
marks_of_node = (
    st.fixed_dictionaries(
        {}, optional={"name": json_values, "deleted": json_values, "starred": json_values}
    )
    | json_values
)
cards = st.fixed_dictionaries(
    {},
    optional={
        "name": json_values,
        "head": ids | json_values,
        "tip": ids | json_values,
        "last": ids | json_values,
        "numbers": st.dictionaries(ids, st.integers(-1, 4) | json_values) | json_values,
        "moved": moments,
        "deleted": moments,
        "nodes": st.dictionaries(ids, marks_of_node, max_size=4) | json_values,
    },
)


@given(records=records, origin=st.none() | st.builds(lambda r: a_record(r, follows="x"), ids))
def test_a_session_of_any_records_is_a_tree(records: list[Record], origin: Record | None) -> None:
    tree = tree_of(S, records, origin, {})
    there = {record.id for record in records} | ({origin.id} if origin else set())
    assert set(tree.nodes) == there
    found = [node.number for node in tree.nodes.values()]
    assert found == list(range(0 if origin else 1, len(there) + (0 if origin else 1)))
    for node in tree.nodes.values():
        path = tree.path(node.id)
        assert path[-1] is node
        assert path[0].parent is None
        assert len({each.id for each in path}) == len(path)
        for child in node.children:
            assert tree.nodes[child].parent == node.id
        if node.parent is not None:
            assert node.parent == node.record.follows
            assert node.id in tree.nodes[node.parent].children
    turns = [node.record.created for node in tree.nodes.values() if node.number]
    assert turns == sorted(turns)


@given(records=records, origin=st.none() | st.builds(a_record, ids), card=cards)
def test_whatever_a_card_says_a_session_stands_at_a_picture(
    records: list[Record], origin: Record | None, card: Mapping[str, Any]
) -> None:
    tree = tree_of(S, records, origin, card)
    visible = {n.id for n in tree.nodes.values() if n.has_picture and not n.deleted}
    kept = {i for i in visible if tree.nodes[i].record.outcome is Outcome.KEPT}
    assert (tree.head in kept) if kept else (tree.head is None)
    assert set(tree.ahead) <= kept
    for step in tree.ahead:
        assert tree.head in {node.id for node in tree.path(step)[:-1]}
    found = [node.number for node in tree.nodes.values()]
    assert found == sorted(set(found))
    assert isinstance(tree.name, str)
    assert {type(node.name) for node in tree.nodes.values()} <= {str, type(None)}


@given(records=records)
def test_the_order_in_which_records_come_is_of_no_account(records: list[Record]) -> None:
    unique = list({record.id: record for record in records}.values())
    assert tree_of(S, unique, None, {}) == tree_of(S, unique[::-1], None, {})


@given(marks=cards, known=st.sets(ids, max_size=5))
def test_foreign_marks_are_clean_once_and_for_all(marks: dict[str, Any], known: set[str]) -> None:
    now = NOON + timedelta(seconds=2)
    found = cleaned(marks, known, now)
    assert cleaned(found, known, now) == found
    place = {"head", "tip", "last", "moved"}
    assert set(found) <= {"name", "starred", "deleted", "nodes", "numbers", *place}
    assert set(found.get("nodes", {})) | set(found.get("numbers", {})) <= known
    assert all(type(n) is int and n > 0 for n in found.get("numbers", {}).values())
    assert len(place & set(found)) in (0, len(place))
    moved = moment(found.get("moved"))
    assert moved is None or moved <= now
    assert (moved is None) == ("head" not in found) == ("tip" not in found)


# ---------------------------------------------------------------- by example


def test_a_version_that_went_on_from_one_that_is_not_here_is_a_root() -> None:
    tree = tree_of(S, [turn(1, "0" * 31 + "e"), turn(2, 1)], None, {})
    assert [n.parent for n in tree.nodes.values()] == [None, f"{1:032x}"]


def test_a_circle_is_cut_open_and_nothing_is_left_out() -> None:
    tree = tree_of(S, [turn(1, 3), turn(2, 1), turn(3, 2), turn(4, 3)], None, {})
    assert numbers(tree, tuple(n.id for n in tree.path(f"{4:032x}"))) == [1, 2, 3, 4]


def test_a_session_stands_at_its_newest_picture() -> None:
    assert head_of(tree_of(S, [], None, {})) is None
    assert head_of(tree_of(S, [dead(1)], None, {})) is None
    for outcome in (Outcome.REFUSED, Outcome.UNKNOWN, Outcome.QUARANTINED):
        assert head_of(tree_of(S, [turn(1), turn(2, 1), dead(3, 2, outcome)], None, {})) == 2
    origin = a_record("e" * 32)
    assert head_of(tree_of(S, [dead(1)], origin, {})) == 0


def test_moving_holds_until_a_picture_is_made_after_it() -> None:
    turns = [turn(1), turn(2, 1), turn(3, 2)]
    card = {"head": turns[0].id, "tip": turns[2].id, "last": turns[2].id, "moved": at(10)}
    tree = tree_of(S, turns, None, card)
    assert (head_of(tree), numbers(tree, tree.ahead)) == (1, [2, 3])
    # one that was refused is no place to stand, and redo still leads forward
    tree = tree_of(S, [*turns, dead(11, 1)], None, card)
    assert (head_of(tree), numbers(tree, tree.ahead)) == (1, [2, 3])
    tree = tree_of(S, [*turns, turn(11, 1)], None, card)
    assert (head_of(tree), tree.ahead) == (4, ())


def test_a_version_out_of_sight_is_no_place_to_stand() -> None:
    turns = [turn(1), turn(2, 1), turn(3, 2)]
    gone = {"nodes": {turns[2].id: {"deleted": at(9)}}}
    assert head_of(tree_of(S, turns, None, gone)) == 2
    moved = {"head": turns[2].id, "tip": turns[2].id, "moved": at(8)}
    assert head_of(tree_of(S, turns, None, gone | moved)) == 2
    first = gone | {"head": turns[0].id, "tip": turns[2].id, "moved": at(8)}
    tree = tree_of(S, turns, None, first)
    assert (head_of(tree), numbers(tree, tree.ahead)) == (1, [2])


def test_versions_keep_the_numbers_that_are_written_down() -> None:
    turns = [turn(1), turn(2, 1), turn(3, 1)]
    # the second was recovered after the third had been seen
    tree = tree_of(S, turns, None, {"numbers": {turns[0].id: 1, turns[2].id: 2}})
    assert [(n.number, n.record.prompt) for n in tree.nodes.values()] == [
        (1, "turn 1"), (2, "turn 3"), (3, "turn 2"),
    ]  # fmt: skip


def test_versions_go_by_number_name_and_id() -> None:
    turns = [turn(1), turn(2, 1)]
    tree = tree_of(S, turns, None, {"nodes": {turns[1].id: {"name": "the good one"}}})
    for label in ("2", "#2", " 2 ", "the good one", turns[1].id, turns[1].id.upper()):
        assert tree.find(label).number == 2
    for label in ("3", "", "000", "0000", "good", "#"):
        with pytest.raises(RecordNotFound, match=r"ession ffffffff|sessions tree"):
            tree.find(label)


def test_a_session_is_called_as_it_began_until_somebody_names_it() -> None:
    long = a_record("1" * 32, prompt="word " * 40)
    assert len(default_name([long])) == SHOWN
    assert default_name([long]).endswith("…")
    assert tree_of(S, [turn(1)], None, {}).name == "turn 1"
    assert tree_of(S, [turn(1)], None, {"name": "Foxes"}).name == "Foxes"
    assert default_name([]) == ""


def test_sums() -> None:
    origin = a_record("e" * 32, cost=5, created=datetime(2026, 1, 1, tzinfo=UTC))
    tree = tree_of(S, [turn(1, cost=2), turn(2, 1, cost=3)], origin, {})
    assert (tree.cost, tree.begun, tree.simulated) == (5, origin.created, False)
