"""A session after a crash: its tree is right, and it goes on.

Invariant: what must be in the tree is told by those who asked for the turns, never by the tree.
"""

from heliograph.chaos.evidence import Ended
from heliograph.chaos.row import KEPT
from heliograph.chaos.working import Place, ask
from heliograph.client import AsyncHeliograph
from heliograph.sessions import Session

NEXT = "And one more turn"


async def goes_on(client: AsyncHeliograph, session: str, ended: list[Ended]) -> list[str]:
    """Compare a session with how its turns ended, and take one more turn.

    Args:
        ended: of every turn, and of the picture that they began with; that of the further turn is
            added.

    Returns:
        What is not as it should be.
    """
    tree = await client.sessions.find(session)
    complaints = told_wrong(tree, ended)
    more = await ask(client, NEXT, {}, place=Place(session=session))
    ended.append(more)
    if more.code != KEPT or more.record is None:
        return [*complaints, f"the session does not go on: {more.code}: {more.words[:200]}"]
    after = await client.sessions.find(session)
    node = after.nodes.get(more.record)
    if node is None or node.parent != tree.head or after.head != more.record:
        complaints.append("the turn after the crash did not go on where the session stood")
    return complaints


def told_wrong(tree: Session, ended: list[Ended]) -> list[str]:
    """What a tree says otherwise than those who asked for its versions."""
    complaints = []
    asked = {one.record: one for one in ended if one.record is not None}
    if set(tree.nodes) != set(asked):
        complaints.append(f"the tree has {len(tree.nodes)} versions, {len(asked)} were asked for")
    for record, one in asked.items():
        node = tree.nodes.get(record)
        if node is None:
            complaints.append(f"{one.key} is no version of the session")
            continue
        if node.has_picture is not (one.code == KEPT):
            complaints.append(f"{one.key} ended as {one.code}, its version tells otherwise")
        if node.parent != node.record.follows:
            complaints.append(f"{one.key} does not hang where it began")
    head = tree.nodes[tree.head] if tree.head is not None else None
    kept = [node for node in tree.nodes.values() if node.has_picture]
    if head is None or head is not kept[-1]:
        complaints.append("the session does not stand at its newest picture")
    return complaints
