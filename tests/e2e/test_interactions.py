"""The Interactions transport against the emulator: one bill for a call, whatever happens to it."""

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.e2e.conftest import Bill, Emulated
from tests.providers.plans import plan_for, reference

from heliograph.errors import (
    Charged,
    CredentialRejected,
    NoImage,
    OutcomeUnknown,
    PolicyBlocked,
    QuotaExhausted,
    RateLimited,
)
from heliograph.ports import Event
from heliograph.providers.calling import Caller
from heliograph.providers.http import Channel, Deadlines
from heliograph.providers.interactions import Interactions, Polling
from heliograph.providers.pool import Place
from heliograph.providers.rereading import reread_answer
from heliograph.types import Reply

LIMITS = Deadlines(connect=60, call=120, late=5, patience=60)
POLLING = Polling(first=0.02, longest=0.1, lag=0.3)


class Log:
    """Takes down the steps of a call."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.remote: str | None = None
        self.is_submitted = asyncio.Event()

    async def room(self, project: str, ask: int) -> float:
        assert project
        return 0.0 if ask > 0 else 1.0

    async def intent(self, project: str, attempt: int) -> None:
        assert project
        self.steps.append(f"intent {attempt}")

    async def sent(self) -> None:
        self.steps.append("sent")

    async def failed(self, facts: Mapping[str, Any]) -> None:
        assert facts
        self.steps.append("failed")

    async def submitted(self, remote: str) -> None:
        self.steps.append("submitted")
        self.remote = remote
        self.is_submitted.set()


Dial = Callable[..., Interactions]


@pytest.fixture
async def dial(emulated: Emulated, project: str) -> AsyncIterator[Dial]:
    dialled: list[Interactions] = []

    def build(*keys: str, **options: Any) -> Interactions:
        given = keys or (f"emu-project-{project}",)
        channels = {
            Place(project=f"p{n}", key=0): Channel(emulated.url, "v1", key, LIMITS)
            for n, key in enumerate(given)
        }
        caller = Caller(channels, LIMITS)
        dialled.append(
            Interactions(caller, simulated=True, deadlines=LIMITS, polling=POLLING, **options)
        )
        return dialled[-1]

    yield build
    for provider in dialled:
        await provider.close()


async def ask(provider: Interactions, spool: Path, prompt: str, **fields: Any) -> tuple[Reply, Log]:
    log = Log()
    plan = plan_for(prompt, **{"size": "1K", "aspect": "16:9", **fields})
    reply = await provider.generate(plan, spool, log, unseen)
    return reply, log


def unseen(event: Event) -> None:
    """Nobody watches."""
    assert event.name


def size_of(reply: Reply) -> tuple[int, int]:
    result = [picture for picture in reply.images if not picture.thought][-1]
    with Image.open(result.path) as picture:
        picture.load()
        return picture.size


def add_rule(emulated: Emulated, **rule: Any) -> None:
    body = json.dumps([rule]).encode()
    request = urllib.request.Request(f"{emulated.url}/_emulator/rules", data=body)  # noqa: S310
    with urllib.request.urlopen(request) as response:  # noqa: S310 - our own loopback address
        assert response.status == 200


@pytest.mark.parametrize("background", [True, False])
async def test_one_picture_and_one_bill(
    background: bool, dial: Dial, tmp_path: Path, bill: Bill
) -> None:
    reply, log = await ask(dial(background=background), tmp_path, "a lake")
    assert size_of(reply) == (1376, 768)
    assert log.steps == ["intent 1", "sent", "submitted"]
    assert reply.response_id == log.remote
    assert reply.usage is not None
    assert reply.usage.image_tokens == 1120
    assert reply.usage.anomaly is None
    assert len(bill.lines) == 1
    assert reply.images[-1].signature is not None
    assert size_of(reread_answer(tmp_path, "interactions")) == (1376, 768)


async def test_everything_that_can_be_asked(dial: Dial, tmp_path: Path, bill: Bill) -> None:
    source, _ = await ask(dial(), tmp_path / "a", "a lake")
    picture = reference(source.images[-1].path.read_bytes())
    reply, _ = await ask(
        dial(),
        tmp_path / "b",
        'make it "night"\n\\',
        model="gemini-nano-banana-2.1",
        system="be brief",
        temperature=0.5,
        top_p=0.9,
        seed=3,
        safety={"harassment": "off"},
        thinking="high",
        include_thoughts=True,
        ground="images",
        checked_references=(picture,),
    )
    assert size_of(reply) == (1376, 768)
    assert any(image.thought for image in reply.images)
    assert any(text.thought for text in reply.texts)
    assert reply.grounding is not None
    assert reply.grounding.entry_point
    assert reply.usage is not None
    assert reply.usage.tier == "standard"
    assert len(bill.lines) == 2


async def test_a_picture_by_address(dial: Dial, tmp_path: Path, bill: Bill) -> None:
    reply, _ = await ask(dial(delivery="uri"), tmp_path, "a lake")
    assert size_of(reply) == (1376, 768)
    assert len(bill.lines) == 1


@pytest.mark.parametrize("background", [True, False])
async def test_a_refusal_says_so_and_is_free(
    background: bool, dial: Dial, tmp_path: Path, bill: Bill
) -> None:
    provider = dial(background=background)
    if background:
        reply, _ = await ask(provider, tmp_path, "a [[fault:image-safety]]")
        refusal = reply.refusal
    else:
        with pytest.raises(PolicyBlocked) as caught:
            await ask(provider, tmp_path, "a [[fault:image-safety]]")
        refusal = caught.value
    assert isinstance(refusal, PolicyBlocked)
    assert refusal.charged is Charged.NO
    assert bill.micro == 0


async def test_words_instead_of_a_picture_are_paid_for(
    dial: Dial, tmp_path: Path, bill: Bill
) -> None:
    reply, _ = await ask(dial(), tmp_path, "a [[fault:no-image]]")
    assert isinstance(reply.refusal, NoImage)
    assert reply.refusal.charged is Charged.YES
    assert bill.micro > 0


@pytest.mark.parametrize(
    ("key", "kind"),
    [("emu-expired", CredentialRejected), ("emu-depleted", QuotaExhausted)],
)
async def test_bad_keys(key: str, kind: type[Exception], dial: Dial, tmp_path: Path) -> None:
    with pytest.raises(kind):
        await ask(dial(key), tmp_path, "a lake")


async def test_a_wait_that_is_told_is_kept(dial: Dial, tmp_path: Path, bill: Bill) -> None:
    with pytest.raises(RateLimited) as caught:
        await ask(dial(), tmp_path, "a lake [[fault:rate-minute:90]]")
    assert caught.value.retry_after == 90.0
    assert bill.micro == 0


async def test_a_free_failure_is_tried_again_and_paid_once(
    dial: Dial, tmp_path: Path, bill: Bill
) -> None:
    reply, _ = await ask(dial(), tmp_path, f"{tmp_path} [[fault:overloaded:0*1]]")
    assert size_of(reply) == (1376, 768)
    assert reply.attempts == 2
    assert sum(line["billed_micro"] > 0 for line in bill.lines) == 1


async def test_a_model_that_refuses_the_background(
    dial: Dial, tmp_path: Path, bill: Bill, emulated: Emulated, project: str
) -> None:
    refusal = {
        "code": 400,
        "status": "INVALID_ARGUMENT",
        "message": "Model 'm' does not support background interactions.",
    }
    add_rule(
        emulated,
        match={"project": project, "method": "interactions"},
        action="status",
        args=refusal,
        count=1,
    )
    reply, log = await ask(dial(), tmp_path, "a lake")
    assert size_of(reply) == (1376, 768)
    once = ["intent 1", "sent"]
    assert log.steps == [*once, "failed", *once, "submitted"]
    assert reply.attempts == 2
    assert sum(line["billed_micro"] > 0 for line in bill.lines) == 1


async def test_given_up_here_and_resumed_there(
    dial: Dial, tmp_path: Path, bill: Bill, project: str
) -> None:
    log = Log()
    plan = plan_for("a lake [[fault:slow:0.6]]", size="1K", aspect="16:9")
    task = asyncio.ensure_future(dial().generate(plan, tmp_path, log, unseen))
    await log.is_submitted.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log.remote is not None
    # another process, which does not know which of its keys submitted it
    other = dial("emu-project-somebody-else", f"emu-project-{project}")
    reply = await other.resume(plan, tmp_path, log.remote, Log(), unseen, project="p0")
    assert size_of(reply) == (1376, 768)
    assert len(bill.lines) == 1


async def test_an_id_that_nobody_knows(dial: Dial, tmp_path: Path) -> None:
    _, log = await ask(dial(), tmp_path / "a", "a lake")
    assert log.remote is not None
    stranger = dial("emu-project-stranger")
    with pytest.raises(OutcomeUnknown) as caught:
        await stranger.resume(plan_for(), tmp_path / "b", log.remote, Log(), unseen, project="p0")
    assert caught.value.charged is Charged.UNKNOWN
    assert caught.value.facts["may_be_asked_for"] is False


async def test_a_line_that_breaks_while_asking(
    dial: Dial, tmp_path: Path, bill: Bill, emulated: Emulated, project: str
) -> None:
    match = {"project": project, "method": "interactions.get"}
    add_rule(emulated, match=match, action="cut-json", args=5, count=2)
    reply, log = await ask(dial(), tmp_path, "a lake")
    assert size_of(reply) == (1376, 768)
    assert log.steps == ["intent 1", "sent", "submitted"]
    assert len(bill.lines) == 1
