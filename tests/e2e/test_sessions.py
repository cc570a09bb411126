"""Edit by conversation, over real sockets, with signatures enforced and both ledgers compared."""

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest
from PIL import Image
from tests.e2e.conftest import Bill, Emulated
from tests.e2e.holding import holding
from tests.e2e.raw import Said, answer, part, picture, saying
from tests.e2e.talking import Log, Step, apart, control, pictures, settled, shape, stands_at
from tests.e2e.test_cli import wait_for_call

from heliograph import AsyncHeliograph, InvalidRequest, Refused
from heliograph.errors import Charged, HeliographError, RecordNotFound
from heliograph.sessions import Turn
from heliograph.types import Given, Outcome, Pixels

PRO, OTHER = "gemini-3-pro-image", "gemini-nano-banana-2.1"
LARGE = Pixels(5504, 3072)  # 4K in 16:9


@pytest.fixture
def log(emulated: Emulated) -> Log:
    return Log(emulated.url)


@pytest.fixture
async def helio(emulated: Emulated, project: str, bill: Bill) -> AsyncIterator[AsyncHeliograph]:
    """A client whose books must agree with the upstream's at the end, whatever was done."""
    async with AsyncHeliograph(base_url=emulated.url, api_key=f"emu-project-{project}") as client:
        yield client
        assert await client.audit() == ()
        if not await client.calls():
            return
        assert await settled(client) == bill.micro
        assert [line for line in bill.lines if line["http_status"] == 400] == []


def small(number: int) -> bytes:
    """A picture of one's own that is like no other."""
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (number, 80, 120)).save(file, "PNG")
    return file.getvalue()


async def begun(helio: AsyncHeliograph, turns: int = 1, **options: Any) -> list[Turn]:
    """A session of so many small turns after a first picture."""
    await helio.generate("A fox", size="1K", **options)
    return [await helio.edit(f"Turn {n}") for n in range(1, turns + 1)]


# ---------------------------------------------------------------- ten turns


@pytest.mark.parametrize(
    ("point", "outcome"),
    [("spooled", Outcome.KEPT), ("sent", Outcome.UNKNOWN)],
)
async def test_ten_turns_at_4k_with_a_restart_an_undo_and_a_kill(
    emulated: Emulated, project: str, bill: Bill, point: str, outcome: Outcome
) -> None:
    client: dict[str, Any] = {"base_url": emulated.url, "api_key": f"emu-project-{project}"}
    first = ("generate", "A fox", {"aspect": "16:9"})
    edits: list[Step] = [("edit", f"Turn {n}", {}) for n in range(1, 11)]
    await apart(first, *edits[:4], client=client)
    async with AsyncHeliograph(**client) as helio:
        turn = await helio.edit(edits[4][1])
        assert (turn.node.number, shape(turn.session)[5]) == (5, 4)
        undone = await helio.sessions.undo()
        assert stands_at(undone) == 4
        turn = await helio.edit(edits[5][1])
        assert (turn.node.number, shape(turn.session)[6]) == (6, 4)
    await apart(edits[6], client=client, kill=point)
    async with AsyncHeliograph(**client) as helio:
        turns = [await helio.edit(prompt) for _, prompt, _ in edits[7:]]
        tree = turns[-1].session
        killed = tree.find("7").record
        assert (killed.outcome, killed.prompt) == (outcome, "Turn 7")
        went_on_from = 7 if outcome is Outcome.KEPT else 6
        parents = [None, 0, 1, 2, 3, 4, 4, 6, went_on_from, 8, 9]
        assert shape(tree) == dict(enumerate(parents))
        assert stands_at(tree) == 10
        records = [node.record for node in tree.nodes.values()]
        made = [record.result for record in records if record.result is not None]
        assert [image.pixels for image in made] == [LARGE] * (11 if went_on_from == 7 else 10)
        assert {(record.size, record.aspect) for record in records} == {("4K", "16:9")}
        assert [line["http_status"] for line in bill.lines if line["http_status"] != 200] == []
        # to the micro-dollar: the books know what was billed, and what may have been
        assert await settled(helio) == sum(record.cost for record in records)
        doubtful = [line for line in bill.lines if not line["billed"]]
        if outcome is Outcome.KEPT:
            assert await settled(helio) == bill.micro
            assert doubtful == []
        assert await helio.audit() == ()


# ---------------------------------------------------------------- one setting


@pytest.mark.parametrize(
    ("change", "place", "value"),
    [
        ({"aspect": "1:1"}, ("imageConfig", "aspectRatio"), "1:1"),
        ({"thinking": "minimal"}, ("thinkingConfig", "thinkingLevel"), "MINIMAL"),
        ({"temperature": 0.0}, ("temperature",), 0),
        ({"size": "2K"}, ("imageConfig", "imageSize"), "2K"),
        ({"seed": 0}, ("seed",), 0),
    ],
)
async def test_one_setting_is_changed_and_all_others_stay(
    helio: AsyncHeliograph, log: Log, change: dict[str, Any], place: tuple[str, ...], value: Any
) -> None:
    said = {"aspect": "16:9", "thinking": "high", "temperature": 0.5, "top_p": 0.9, "seed": 7}
    asked = {**said, "size": "1K", "model": OTHER, "system": "Be kind."}
    await helio.generate("A fox", **asked)  # type: ignore[arg-type]
    before = log.last.settings
    await helio.edit("The same")
    assert log.last.settings == before
    await helio.edit("Another way", **change)
    inner = log.last.settings
    where = before
    for name in place[:-1]:
        inner, where = inner[name], where[name]
    assert inner[place[-1]] == value != where[place[-1]]
    where[place[-1]] = value
    assert log.last.settings == before
    assert "Be kind." in str(log.last.document["systemInstruction"])
    # from here on it stays so
    await helio.edit("And on")
    assert log.last.settings == before


async def test_a_setting_is_left_open_again(helio: AsyncHeliograph, log: Log) -> None:
    await helio.generate("A fox", size="1K", temperature=0.5, seed=7)
    await helio.edit("As the model likes", drop=["temperature", "seed"])
    assert not {"temperature", "seed"} & set(log.last.settings)


# ---------------------------------------------------------------- what goes back


async def talked(helio: AsyncHeliograph, context: str) -> Turn:
    """A session of three turns, each with an image of the user's, and one more."""
    await helio.edit("A fox", of=small(9), size="1K", references=[small(0)])
    for number in (1, 2):
        await helio.edit(f"Turn {number}", references=[small(number)])
    return await helio.edit("Turn 3", references=[small(3)], context=context)


@pytest.mark.parametrize(
    ("context", "answers", "inputs"),
    [
        ("all", [0, 1, 2], [0, 1, 2, 3]),
        ("lineage", [2], [0, 1, 2, 3]),
        ("last-1", [2], [2, 3]),
        ("last-2", [1, 2], [1, 2, 3]),
        ("last-99", [0, 1, 2], [0, 1, 2, 3]),
    ],
)
async def test_what_of_a_session_goes_back(
    helio: AsyncHeliograph, log: Log, context: str, answers: list[int], inputs: list[int]
) -> None:
    turn = await talked(helio, context)
    records = [node.record for node in turn.session.nodes.values()]
    assert [text.partition("\n")[0] for text in log.last.texts()] == [
        "A fox", "Turn 1", "Turn 2", "Turn 3",
    ]  # fmt: skip
    assert log.last.images("model") == pictures(*(records[n] for n in answers))
    assert log.last.images("user") == [sha for n in inputs for sha in records[n].parents]
    assert not turn.result.warnings
    history = turn.node.record.request["history"]
    assert [each["record"] for each in history] == [record.id for record in records[:3]]
    if context == "all":
        said = [text for record in records[:3] for text in record.texts]
        assert log.last.texts("model") == said


async def test_what_goes_back_stays_so_until_it_is_said_otherwise(
    helio: AsyncHeliograph, log: Log
) -> None:
    await talked(helio, "last-1")
    await helio.edit("Turn 4")
    assert len(log.last.images("user")) == 1
    assert len(log.last.images("model")) == 1
    await helio.edit("Turn 5", context="all")
    assert len(log.last.images("model")) == 5
    assert len(log.last.images("user")) == 5


@pytest.mark.parametrize("context", ["last-0", "last-x", "some"])
async def test_a_policy_that_is_none_is_refused(helio: AsyncHeliograph, context: str) -> None:
    await begun(helio)
    with pytest.raises(InvalidRequest, match="context"):
        await helio.edit("Turn 2", context=context)


async def test_the_oldest_images_give_way(helio: AsyncHeliograph, log: Log) -> None:
    await helio.edit("A fox", of=small(0), size="1K", references=[small(n) for n in range(1, 6)])
    await helio.edit("Turn 1", references=[small(n) for n in range(10, 16)])
    turn = await helio.edit("Turn 2", references=[small(n) for n in range(20, 24)])
    assert len(log.last.images()) == 14
    records = [node.record for node in turn.session.nodes.values()]
    # the picture that is changed and all of this turn's; of the oldest turn what there is room for
    given = (*records[0].parents[3:], *records[1].parents, *turn.node.record.parents)
    assert log.last.images("user") == list(given)
    assert log.last.images("model") == pictures(records[1])
    assert [n for n in turn.result.plan.notes if "3 of earlier turns do not go back" in n]
    assert log.last.texts()[0].startswith(records[0].prompt)


async def test_what_came_with_no_turn_does_not_go_back_and_that_is_said(
    helio: AsyncHeliograph, log: Log
) -> None:
    await helio.generate("A fox", size="1K", references=[small(0)])
    turn = await helio.edit("Turn 1")
    assert log.last.images("user") == []
    assert [n for n in turn.result.plan.notes if "Without 1 input image of earlier turns" in n]


async def test_no_more_images_than_there_is_room_for(helio: AsyncHeliograph, bill: Bill) -> None:
    await begun(helio)
    calls = len(bill.lines)
    with pytest.raises(InvalidRequest, match="leave no room for the picture that is changed"):
        await helio.edit("Too many", references=[small(n) for n in range(14)])
    assert len(bill.lines) == calls


# ---------------------------------------------------------------- other models and upstreams


def has_lost_context(turn: Turn) -> bool:
    return any("reasoning context" in warning for warning in turn.node.record.warnings)


async def test_another_model_goes_on_with_pictures_and_words(
    helio: AsyncHeliograph, log: Log
) -> None:
    turns = await begun(helio, 2)
    assert not any(has_lost_context(turn) for turn in turns)
    moved = await helio.edit("Turn 3", model=OTHER)
    assert has_lost_context(moved)
    assert log.last.images() == log.last.images("user") == pictures(turns[1].node.record)
    assert "thoughtSignature" not in str(log.last.document)
    assert log.last.texts() == ["A fox", "Turn 1", "Turn 2", "The picture made of this:", "Turn 3"]
    # from its own picture on it knows what it thought
    again = await helio.edit("Turn 4")
    assert (again.node.record.model, has_lost_context(again)) == (OTHER, False)
    assert log.last.images("model") == pictures(moved.node.record)


async def test_a_fallback_in_a_turn_says_that_the_context_is_lost(
    helio: AsyncHeliograph, emulated: Emulated, project: str, log: Log
) -> None:
    await begun(helio)
    match = {"project": project, "model": PRO}
    control(emulated.url, "rules", [{"match": match, "action": "overloaded", "count": 20}])
    turn = await helio.edit("Turn 2", fallback=[OTHER])
    assert turn.node.record.model == OTHER
    assert has_lost_context(turn)
    assert log.last.images("model") == []
    assert (stands_at(turn.session), shape(turn.session)[2]) == (2, 1)


async def test_a_picture_from_another_upstream_goes_back_as_the_users(
    emulated: Emulated, project: str, log: Log
) -> None:
    signed = part(picture(), thoughtSignature="c2lnbmVk")
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 1120, "totalTokenCount": 1123}
    said = Said({**answer(signed, finishReason="STOP"), "usageMetadata": usage})
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(saying(said, is_emulator=False))
        helio = AsyncHeliograph(base_url=upstream.url, api_key="real")
        await stack.enter_async_context(helio)
        first = await helio.generate("A fox", size="1K")
        assert not first.simulated
    async with AsyncHeliograph(base_url=emulated.url, api_key=f"emu-project-{project}") as helio:
        turn = await helio.edit("Turn 1")
        assert has_lost_context(turn)
        assert log.last.images() == log.last.images("user") == pictures(first.record)
        assert "c2lnbmVk" not in str(log.last.document)
        assert not has_lost_context(await helio.edit("Turn 2"))


# ---------------------------------------------------------------- what does not succeed


@pytest.mark.parametrize("fault", ["text-refusal", "image-safety"])
async def test_a_refused_turn_is_a_dead_end_and_the_session_goes_on(
    helio: AsyncHeliograph, fault: str, log: Log
) -> None:
    (turn,) = await begun(helio)
    with pytest.raises(Refused) as caught:
        await helio.edit(f"Turn 2 [[fault:{fault}]]")
    tree = await helio.sessions.find(turn.session.id)
    dead = tree.find(str(caught.value.record_id))
    assert (dead.number, dead.has_picture, stands_at(tree)) == (2, False, 1)
    for ask in (helio.sessions.branch("2"), helio.edit("On", of="2", session=tree.id)):
        with pytest.raises(InvalidRequest, match="has no picture"):
            await ask
    turn = await helio.edit("Turn 3")
    assert shape(turn.session) == {0: None, 1: 0, 2: 1, 3: 1}
    assert "fault" not in " ".join(log.last.texts())


async def test_a_turn_whose_outcome_nobody_knows_is_one_too(
    helio: AsyncHeliograph, emulated: Emulated, project: str
) -> None:
    (turn,) = await begun(helio)
    with pytest.raises(HeliographError) as caught:
        await helio.edit("Turn 2 [[fault:reset-after-request]]")
    tree = await helio.sessions.find(turn.session.id)
    assert tree.find(str(caught.value.record_id)).record.outcome is Outcome.UNKNOWN
    assert shape((await helio.edit("Turn 3")).session) == {0: None, 1: 0, 2: 1, 3: 1}


async def test_nothing_is_begun_by_what_cannot_be_asked(helio: AsyncHeliograph) -> None:
    for ask in (helio.edit("On"), helio.sessions.undo(), helio.sessions.find("nothing")):
        with pytest.raises(RecordNotFound):
            await ask
    await helio.generate("A fox", size="1K")
    with pytest.raises(RecordNotFound):
        await helio.sessions.undo()
    with pytest.raises(InvalidRequest, match="size"):
        await helio.edit("On", size="9K")
    assert await helio.sessions.list() == []


# ---------------------------------------------------------------- moving


async def test_undo_redo_and_branches(helio: AsyncHeliograph) -> None:
    turns = await begun(helio, 3)
    sessions = helio.sessions
    assert [stands_at(await sessions.undo()) for _ in range(3)] == [2, 1, 0]
    with pytest.raises(RecordNotFound, match="before this one"):
        await sessions.undo()
    assert [stands_at(await sessions.redo()) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(RecordNotFound, match="Nothing was undone"):
        await sessions.redo()
    await sessions.undo()
    turn = await helio.edit("Instead of 3")
    assert shape(turn.session) == {0: None, 1: 0, 2: 1, 3: 2, 4: 2}
    with pytest.raises(RecordNotFound, match="Nothing was undone"):
        await sessions.redo()
    assert stands_at(await sessions.branch("1")) == 1
    turn = await helio.edit("A branch")
    assert (turn.node.number, shape(turn.session)[5]) == (5, 1)
    assert stands_at(await sessions.undo()) == 1
    assert stands_at(await sessions.redo()) == 5
    assert stands_at(await sessions.branch(turns[2].node.id[:8], session=turn.session.id)) == 3
    assert [stands_at(await sessions.undo()) for _ in range(3)] == [2, 1, 0]


async def test_moving_to_another_session_goes_on_there(helio: AsyncHeliograph) -> None:
    (first,) = await begun(helio)
    (second,) = await begun(helio)
    assert first.session.id != second.session.id
    assert (await helio.edit("On")).session.id == second.session.id
    await helio.sessions.branch("1", session=first.session.id)
    turn = await helio.edit("On")
    assert (turn.session.id, shape(turn.session)[2]) == (first.session.id, 1)
    assert (await helio.edit("On", session=second.session.id)).node.number == 3
    # a new picture is what was worked on last
    await helio.generate("A hare", size="1K")
    assert (await helio.edit("On")).session.id not in (first.session.id, second.session.id)


async def test_two_processes_at_once_make_two_branches(
    helio: AsyncHeliograph, emulated: Emulated, project: str, bill: Bill
) -> None:
    (turn,) = await begun(helio)
    steps: list[Step] = [("edit", f"{who} {project}", {}) for who in ("One", "Two")]
    with holding(emulated.url) as held:
        client = {"base_url": held.url, "api_key": f"emu-project-{project}"}

        async def let_both_go() -> None:
            for _, prompt, _ in steps:
                await asyncio.to_thread(wait_for_call, held, prompt)
            held.let_go()

        await asyncio.gather(let_both_go(), *(apart(step, client=client) for step in steps))
    tree = await helio.sessions.find(turn.session.id)
    assert shape(tree) == {0: None, 1: 0, 2: 1, 3: 1}
    assert {tree.find(n).record.prompt[:3] for n in ("2", "3")} == {"One", "Two"}
    assert len(bill.lines) == 4
    assert stands_at(tree) == 3
    assert shape((await helio.edit("On")).session)[4] == 3


async def test_marks_of_many_at_once_are_all_kept(helio: AsyncHeliograph) -> None:
    (turn,) = await begun(helio, 1)
    label = turn.session.id
    await asyncio.gather(
        helio.sessions.mark(label, name="Foxes"),
        helio.sessions.mark(label, "1", name="the good one"),
        helio.sessions.mark(label, "0", starred=True),
        helio.sessions.mark(label, starred=True),
        helio.sessions.undo(label),
    )
    tree = await helio.sessions.find("Foxes")
    assert (tree.starred, tree.find("the good one").number, stands_at(tree)) == (True, 1, 0)
    assert tree.find("0").starred


# ---------------------------------------------------------------- marks


async def test_a_session_out_of_sight_comes_back_as_it_was(helio: AsyncHeliograph) -> None:
    (turn,) = await begun(helio)
    sessions, label = helio.sessions, turn.session.id
    assert (await sessions.mark(label, deleted=True)).deleted
    assert await sessions.list() == []
    assert [s.id for s in await sessions.list(deleted=True)] == [label]
    # it is not gone on with unless it is named
    with_another = await helio.edit("On")
    assert with_another.session.id != label
    assert (await sessions.mark(label, deleted=False)).nodes == turn.session.nodes
    assert {s.id for s in await sessions.list()} == {label, with_another.session.id}


async def test_a_version_out_of_sight_is_not_gone_on_with(helio: AsyncHeliograph) -> None:
    turns = await begun(helio, 2)
    label = turns[0].session.id
    assert stands_at(await helio.sessions.mark(label, "2", deleted=True)) == 1
    with pytest.raises(InvalidRequest, match="out of sight"):
        await helio.sessions.branch("2", session=label)
    assert stands_at(await helio.sessions.mark(label, "2", deleted=False)) == 2
    await helio.sessions.mark(label, "1", deleted=True)
    assert stands_at(await helio.sessions.undo(label)) == 0
    assert stands_at(await helio.sessions.redo(label)) == 2


async def test_sessions_and_versions_go_by_names(helio: AsyncHeliograph) -> None:
    (turn,) = await begun(helio)
    (other,) = await begun(helio)
    sessions, label = helio.sessions, turn.session.id
    await sessions.mark(label, name="Foxes")
    await sessions.mark("Foxes", "1", name="red one")
    assert (await sessions.find("Foxes")).find("red one").number == 1
    assert (await helio.edit("On", of="red one", session="Foxes")).node.parent == turn.node.id
    assert [s.name for s in await sessions.list(search="fOxEs")] == ["Foxes"]
    wrong: Sequence[tuple[tuple[str, ...], str]] = [
        ((other.session.id,), "Foxes"),
        ((label, "2"), "red one"),
        ((label,), "#7"),
        ((label,), "12"),
        ((label,), "x" * 61),
        ((label,), "a\nb"),
    ]
    for place, name in wrong:
        with pytest.raises(InvalidRequest, match="name"):
            await sessions.mark(*place, name=name)
    await sessions.mark(label, name="")
    with pytest.raises(RecordNotFound):
        await sessions.find("Foxes")


async def test_a_file_begins_a_session(helio: AsyncHeliograph, log: Log) -> None:
    turn = await helio.edit("Make it red", of=small(1), size="1K")
    assert (turn.node.number, turn.node.parent) == (1, None)
    again = await helio.edit("Turn 2")
    assert (again.session.id, shape(again.session)) == (turn.session.id, {1: None, 2: 1})
    # the file goes back from what the library keeps of it
    assert log.last.images("user") == [turn.node.record.parents[0]]
    with pytest.raises(InvalidRequest, match="cannot come into a session"):
        await helio.edit("Turn 3", of=small(2), session=turn.session.id)
    given = await helio.edit("Turn 3", references=[Given(source=small(2), name="hat")])
    assert given.node.number == 3


async def test_a_simulated_picture_is_shown_but_never_changed_for_money_unasked(
    helio: AsyncHeliograph,
) -> None:
    (turn,) = await begun(helio)
    # as the command line opens a library without a key, and as somebody with a key does
    for key, base_url in ((None, None), ("a-real-key", "https://upstream.invalid")):
        client = AsyncHeliograph(
            home=helio.settings.home, api_key=key, base_url=base_url, simulate=False
        )
        async with client as library:
            assert (await library.sessions.current()).id == turn.session.id
            with pytest.raises(RecordNotFound, match="simulated") as caught:
                await library.edit("For real")
            assert caught.value.charged is Charged.NO


async def test_a_key_means_one_turn_of_one_session(helio: AsyncHeliograph) -> None:
    base = small(7)
    asked = [helio.edit("A hat", of=base, size="1K", idempotency_key="hat-1") for _ in range(3)]
    made = await asyncio.gather(*asked)
    assert len({turn.node.id for turn in made}) == 1
    (other,) = await begun(helio)
    with pytest.raises(InvalidRequest):  # the key belongs to the first session
        await helio.edit("A hat", session=other.session.id, idempotency_key="hat-1")
    assert len(await helio.calls()) == 3


async def test_a_cast_with_a_lost_image_is_refused_before_any_call(helio: AsyncHeliograph) -> None:
    kept = await helio.casts.add("hero", [small(9)])
    originals = helio.settings.home / "originals"
    (originals / str(kept.references[0].key)).unlink()
    with pytest.raises(InvalidRequest, match="not in the library"):
        await helio.generate("@hero at sea", casts=["hero"], size="1K")
    assert not await helio.calls()
