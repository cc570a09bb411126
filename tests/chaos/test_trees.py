"""Trees after a crash: every way in which one can be wrong is found."""

from dataclasses import replace

import pytest
from tests.contract.records import a_record

from heliograph.chaos.evidence import Ended
from heliograph.chaos.row import KEPT
from heliograph.chaos.trees import told_wrong
from heliograph.sessions import Session
from heliograph.sessions.tree import tree_of
from heliograph.types import Outcome, Record

S = "f" * 32


def ended(record: Record, code: str = KEPT) -> Ended:
    return Ended(prompt="", code=code, began=0.0, seconds=0.0, key=record.prompt, record=record.id)


ORIGIN = a_record("0" * 32, prompt="origin")
FIRST = a_record("1" * 32, prompt="first", session=S, follows=ORIGIN.id)
SECOND = a_record("2" * 32, prompt="second", session=S, follows=FIRST.id)
DEAD = a_record(
    "3" * 32, prompt="dead", session=S, follows=FIRST.id, outcome=Outcome.UNKNOWN, images=()
)
TREE = tree_of(S, [FIRST, SECOND, DEAD], ORIGIN, {})
ENDED = [ended(ORIGIN), ended(FIRST), ended(SECOND), ended(DEAD, "outcome_unknown")]


def test_a_tree_that_is_right_is_not_complained_of() -> None:
    assert told_wrong(TREE, ENDED) == []
    assert told_wrong(TREE, [*ENDED, *ENDED]) == []  # asked for again


def without_a_version() -> Session:
    return tree_of(S, [FIRST, DEAD], ORIGIN, {})


def with_one_more() -> Session:
    return tree_of(S, [FIRST, SECOND, DEAD, a_record("4" * 32, follows=FIRST.id)], ORIGIN, {})


def hanging_wrong() -> Session:
    nodes = {**TREE.nodes, SECOND.id: replace(TREE.nodes[SECOND.id], parent=ORIGIN.id)}
    return replace(TREE, nodes=nodes)


def with_a_picture_lost() -> Session:
    lost = replace(SECOND, images=(), outcome=Outcome.UNKNOWN)
    return tree_of(S, [FIRST, lost, DEAD], ORIGIN, {})


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        (without_a_version(), "second is no version of the session"),
        (with_one_more(), "the tree has 5 versions, 4 were asked for"),
        (hanging_wrong(), "second does not hang where it began"),
        (with_a_picture_lost(), "second ended as kept, its version tells otherwise"),
        (replace(TREE, head=FIRST.id), "does not stand at its newest picture"),
        (replace(TREE, head=None), "does not stand at its newest picture"),
        (replace(TREE, head=DEAD.id), "does not stand at its newest picture"),
    ],
)
def test_a_tree_that_is_wrong_is_complained_of(tree: Session, words: str) -> None:
    assert [complaint for complaint in told_wrong(tree, ENDED) if words in complaint]
