"""Nothing paid for is lost or repeated in silence. Each of these tests was a bug once."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Bill, Emulated

from heliograph import (
    AsyncHeliograph,
    ConfigurationError,
    Finish,
    Heliograph,
    OutcomeUnknown,
    Overloaded,
    QuotaExhausted,
    StorageError,
)
from heliograph import keeping as keeping_module
from heliograph import looking as looking_module
from heliograph import pipeline as pipeline_module
from heliograph.errors import Charged
from heliograph.journal import Stage
from heliograph.ports import Event
from heliograph.types import Outcome
from heliograph.upstream import is_loopback


async def test_an_error_after_an_image_is_not_asked_again(
    helio: AsyncHeliograph, bill: Bill
) -> None:
    with pytest.raises(Overloaded) as caught:
        await helio.generate("A fox [[fault:stream-error]]", size="1K", stream=True)
    assert len(bill.lines) == 1
    assert caught.value.charged is Charged.UNKNOWN
    assert "nothing was charged" not in str(caught.value)
    record = await helio.image(str(caught.value.record_id))
    assert record.outcome is Outcome.UNKNOWN


async def test_a_spend_limit_is_not_asked_again(helio: AsyncHeliograph, bill: Bill) -> None:
    with pytest.raises(QuotaExhausted):
        await helio.generate("A fox [[fault:spend-limit]]")
    assert len(bill.lines) == 1


async def told(events: list[Event], name: str) -> None:
    """Until an event of this name was told."""
    async with asyncio.timeout(60):
        while not any(e.name == name for e in events):  # noqa: ASYNC110 - it is a plain list
            await asyncio.sleep(0.005)


async def cancel_at(helio: AsyncHeliograph, events: list[Event], name: str, prompt: str) -> None:
    """Give a call up at the moment an event is told."""
    task = asyncio.ensure_future(helio.generate(prompt, size="1K"))
    await told(events, name)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_giving_up_while_an_answer_is_kept_keeps_it(
    helio: AsyncHeliograph, bill: Bill, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    looking = asyncio.Event()
    look = looking_module.look

    async def slow_look(*words: Any) -> Any:
        looking.set()
        await asyncio.sleep(0.3)
        return await look(*words)

    monkeypatch.setattr(keeping_module, "look", slow_look)
    task = asyncio.ensure_future(helio.generate("A fox", size="1K"))
    await looking.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await helio.close()
    async with AsyncHeliograph() as again:
        (record,) = await again.images()
    assert (record.outcome, record.cost) == (Outcome.KEPT, bill.micro)


async def test_giving_up_during_a_wait_records_no_cost(
    helio: AsyncHeliograph, events: list[Event]
) -> None:
    await cancel_at(helio, events, "retrying", "A fox [[fault:rate-minute:30]]")
    assert list(await helio.images()) == []


async def test_a_call_that_has_left_goes_on_when_nobody_waits(
    helio: AsyncHeliograph, events: list[Event], bill: Bill
) -> None:
    await cancel_at(helio, events, "sent", "A fox [[fault:slow:1]]")
    await helio.close()
    async with AsyncHeliograph() as again:
        (record,) = await again.images()
    assert (record.outcome, record.cost) == (Outcome.KEPT, bill.micro)


async def test_giving_up_for_good_after_sending_is_written_down(
    helio: AsyncHeliograph, events: list[Event]
) -> None:
    await cancel_at(helio, events, "sent", "A fox [[fault:slow:150]]")
    await helio.close(abandon=True)
    assert [e.facts["may_have_cost_micro"] > 0 for e in events if e.name == "given up"] == [True]
    async with AsyncHeliograph() as again:
        (record,) = await again.images()
        (call,) = await again.calls()
        assert await again.audit() == ()
    assert record.outcome is Outcome.UNKNOWN
    assert call.stage is Stage.UNKNOWN


async def test_closing_waits_for_calls_under_way(emulated: Emulated, project: str) -> None:
    events: list[Event] = []
    helio = AsyncHeliograph(
        base_url=emulated.url, api_key=f"emu-project-{project}", observer=events.append
    )
    task = asyncio.ensure_future(helio.generate("A fox [[fault:slow:1]]", size="1K"))
    await told(events, "sent")
    await helio.close()
    assert (await task).record.outcome is Outcome.KEPT
    with pytest.raises(ConfigurationError, match="closed"):
        await helio.images()


async def test_a_full_disk_is_noticed_before_paying(
    helio: AsyncHeliograph, bill: Bill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_module, "LEAST_FREE", 1 << 60)
    with pytest.raises(StorageError, match="nothing was sent") as caught:
        await helio.generate("A fox")
    assert caught.value.charged is Charged.NO
    assert bill.lines == []


async def test_an_answer_that_cannot_be_kept_says_where_it_lies(
    helio: AsyncHeliograph, tmp_path: Path
) -> None:
    await helio.images()
    originals = tmp_path / "library" / "originals"
    (originals / "sha256").write_text("in the way")
    with pytest.raises(StorageError) as caught:
        await helio.generate("A fox", size="1K")
    assert caught.value.charged is Charged.YES
    assert weight_of(Path(caught.value.facts["spool"])) > 1000


def weight_of(spool: Path) -> int:
    return sum(p.stat().st_size for p in spool.rglob("part-*"))


async def test_an_unknown_outcome_stays_unknown_when_it_cannot_be_written_down(
    helio: AsyncHeliograph, tmp_path: Path
) -> None:
    await helio.images()
    (tmp_path / "library" / "originals" / "records").write_text("in the way")
    with pytest.raises(OutcomeUnknown) as caught:
        await helio.generate("A fox [[fault:reset-after-request]]")
    assert caught.value.charged is Charged.UNKNOWN
    assert "not_written_down" in caught.value.facts


async def test_giving_up_stays_giving_up_when_it_cannot_be_written_down(
    helio: AsyncHeliograph, tmp_path: Path, events: list[Event]
) -> None:
    await helio.images()
    (tmp_path / "library" / "originals" / "records").write_text("in the way")
    await cancel_at(helio, events, "sent", "A fox [[fault:slow:150]]")
    await helio.close(abandon=True)
    (given_up,) = [e for e in events if e.name == "given up"]
    assert given_up.facts["may_have_cost_micro"] > 0
    assert given_up.facts["not_written_down"]


async def test_exports_of_one_record_do_not_overwrite_each_other(helio: AsyncHeliograph) -> None:
    result = await helio.generate("A fox", size="1K", pixels="800x800")
    small, large = await asyncio.gather(
        helio.export(result.record.id, pixels="64x64"),
        helio.export(result.record.id, pixels="640x480"),
    )
    paths = {e.path for e in (*result.exports, *small, *large)}
    assert len(paths) == 3
    assert [str(e.pixels) for e in (*result.exports, *small, *large)] == [
        "800x800",
        "64x64",
        "640x480",
    ]


async def test_simulate_never_reaches_a_real_upstream(tmp_path: Path) -> None:
    asked: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with AsyncHeliograph(simulate=True, base_url=url, api_key="real-key") as helio:
        with pytest.raises(ConfigurationError, match="no emulator"):
            await helio.generate("A fox")
    server.close()
    await server.wait_closed()
    assert not any(b"POST" in head or b"real-key" in head for head in asked)


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:80/x", True),
        ("http://[::1]:80", True),
        ("http://LOCALHOST", True),
        ("http://127.0.0.1.evil.example", False),
        ("http://localhost:80@evil.example/", False),
        ("http://localhost.evil.example", False),
    ],
)
def test_only_this_machine_counts_as_this_machine(url: str, local: bool) -> None:
    assert is_loopback(url) is local


def test_a_closed_client_says_so_and_an_observer_cannot_lock_up() -> None:
    calls: list[Heliograph] = []
    complaints: list[str] = []

    def nosy(_event: Event) -> None:
        try:
            calls[0].images()
        except ConfigurationError as error:
            complaints.append(str(error))

    with Heliograph(simulate=True, observer=nosy, emulator_options=["--small"]) as helio:
        calls.append(helio)
        helio.generate("A fox", size="1K")
    assert "observer" in complaints[0]
    helio.close()
    with pytest.raises(ConfigurationError, match="closed"):
        helio.images()


def test_odd_arguments_are_named_not_crashed_on() -> None:
    with Heliograph(simulate=True) as helio:
        assert helio.plan("A fox", max_cost=0.5).request.max_cost == 500_000  # type: ignore[arg-type]
        with pytest.raises(Exception, match="dollars"):
            helio.plan("A fox", max_cost="much")
        with pytest.raises(Exception, match=r"nosuch\.png"):
            helio.plan("A fox", references="nosuch.png")


async def test_save_does_not_lie_about_the_format(helio: AsyncHeliograph, tmp_path: Path) -> None:
    result = await helio.generate("A fox", size="1K")
    with pytest.raises(StorageError, match="wrong name"):
        result.save(tmp_path / "fox.png")
    assert result.save(f"{tmp_path}/new/").parent == tmp_path / "new"
    with pytest.raises(StorageError):
        result.save(tmp_path / ("x" * 300))
    as_png = await helio.generate("A fox", size="1K", finish=Finish(format="png"))
    assert as_png.save(tmp_path / "fox.png").read_bytes()[:4] == b"\x89PNG"
