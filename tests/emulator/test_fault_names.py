"""Every action of the emulator's contract, by each of the ways to ask for it."""

import asyncio
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.emulator.test_transport import Wire, exchange, last_line, unchunked

from heliograph.emulator.envelope import ApiError
from heliograph.emulator.faults import FAULTS
from heliograph.emulator.faults.names import ALIASES, GROUPS, also_known, resolve, written
from heliograph.emulator.rules import Rulebook, Sight, read_strike

# The words of the contract (reliability, section 9) and what they mean here.
CONTRACT = {
    "status(429)": "status:429",
    "refuse": "refuse",
    "reset(before)": "reset-before",
    "reset(after_request)": "reset-after-request",
    "reset(after_n_bytes)": "reset-after-bytes",
    "reset(after_n_bytes, 500)": "reset-after-bytes:500",
    "delay_headers": "delay-headers",
    "stall_after(100)": "stall-after:100",
    "drip(1000)": "drip:1000",
    "cut_json(10)": "cut-json:10",
    "cut_base64(10)": "cut-base64:10",
    "body(raw)": "body:raw",
    "mime(image/png)": "mime:image/png",
    **{
        f"image({kind})": f"image:{kind}"
        for kind in (
            *("ok", "1K", "wrong_ratio", "bitflip", "cut", "forged_eoi", "bomb"),
            *("animated", "trailing", "svg", "html", "zero"),
        )
    },
    "finish(SPII)": "finish:SPII",
    "parts(extra_images, 3)": "extra-images:3",
    "parts(thought_first)": "thought-first",
    "usage(missing)": "usage-missing",
    "usage(negative)": "usage-negative",
    "usage(huge)": "usage-huge",
    "usage(nan)": "usage-nan",
    "dup_keys": "duplicate-keys",
    "gzip_bomb": "gzip-bomb",
    "length_lie": "length-lie",
    "redirect": "redirect",
    "tls(expired)": "tls:expired",
    "tls(wrong_name)": "tls:wrong_name",
    "tls(self_signed)": "tls:self_signed",
    "model_retired": "not-found",
    "slow_tier(acme)": "slow-tier:acme",
}


def sight(prompt: str = "", header: str = "", project: str = "acme") -> Sight:
    return Sight(verb="POST", method="m", path="/", prompt=prompt, header=header, project=project)


@pytest.mark.parametrize(("action", "meant"), CONTRACT.items())
def test_every_action_by_rule_tag_and_header(action: str, meant: str) -> None:
    name, arg = written(action)
    tag = f"{name}:{arg}" if arg else name
    asked = [sight(f"x [[fault:{tag}]]"), sight(f"[[fault:{action}]]")]
    asked += [sight(header=tag), sight(header=action)]
    for each in asked:
        assert str(Rulebook(1).pick(each)) == meant, each
    rules: list[dict[str, str]] = [{"action": action}, {"action": name, "args": arg}]
    for rule in rules:
        book = Rulebook(1)
        book.add(rule)
        assert str(book.before_body(sight()) or book.pick(sight())) == meant
    strike = read_strike(name, arg)
    # The argument is one that the fault takes.
    if strike.fault.delivery is not None:
        strike.fault.delivery(strike.case("m"))


def test_every_other_name_leads_to_a_fault_and_hides_none() -> None:
    reached = {*ALIASES.values(), *(real for kinds in GROUPS.values() for real in kinds.values())}
    assert reached <= set(FAULTS)
    assert not {*ALIASES, *GROUPS} & set(FAULTS)
    assert also_known("refuse") == ["down"]
    assert also_known("usage-nan") == ["usage:nan"]


@pytest.mark.parametrize("text", ["reset", "reset(sideways)", "usage", "parts:x", "batch(partial)"])
def test_a_name_that_leads_nowhere_says_so(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        read_strike(*written(text))
    assert text.partition("(")[0].partition(":")[0] in caught.value.note


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_is_a_fault_or_refused_in_words(name: str, arg: str) -> None:
    try:
        found = read_strike(*written(f"{name}:{arg}")).fault.name in FAULTS
    except ApiError as error:
        found = (error.code, bool(error.note)) == (400, True)
    assert found


@given(st.sampled_from(sorted(FAULTS)), st.text(max_size=40))
def test_a_real_name_stays_what_it_is(name: str, arg: str) -> None:
    assert resolve(name, arg) == (name, arg)
    assert resolve(name.replace("-", "_"), arg) == (name, arg)


def now_book(*rules: dict[str, Any]) -> tuple[Rulebook, list[float]]:
    clock = [1000.0]
    book = Rulebook(1, lambda: clock[0])
    book.add(list(rules))
    return book, clock


def by_second(book: Rulebook, clock: list[float], seconds: int, project: str = "acme") -> str:
    """One letter a second: the first of the fault's name, or a dot."""
    found = ""
    begin = clock[0]
    for second in range(seconds):
        clock[0] = begin + second
        strike = book.pick(sight(project=project))
        found += "." if strike is None else strike.fault.name[0]
    return found


def test_two_projects_are_bad_in_turn() -> None:
    every = {"seconds": 5, "of": 10}
    one = {"match": {"project": "a"}, "action": "high-demand", "every": every}
    two = {"match": {"project": "b"}, "action": "high-demand", "every": {**every, "phase": 5}}
    book, clock = now_book(one, two)
    assert by_second(book, clock, 20, "a") == "hhhhh.....hhhhh....."
    clock[0] = 1000.0
    assert by_second(book, clock, 20, "b") == ".....hhhhh.....hhhhh"


def test_a_rule_ends_and_the_next_one_takes_over() -> None:
    book, clock = now_book(
        {"action": "high-demand", "for_seconds": 3},
        {"action": "internal", "every": {"seconds": 1, "of": 4, "phase": 2}, "for_seconds": 9},
    )
    assert by_second(book, clock, 14) == "hhh...i......."


def test_a_sleeping_rule_counts_nothing() -> None:
    every = {"seconds": 1, "of": 2}
    book, clock = now_book({"action": "internal", "count": 2, "every": every})
    assert by_second(book, clock, 8) == "i.i....."
    assert book.show()[0]["met"] == 4


@pytest.mark.parametrize(
    "rule",
    [
        {"every": {"seconds": 5}},
        {"every": {}},
        {"every": {"seconds": 11, "of": 10}},
        {"every": {"seconds": 0, "of": 10}},
        {"every": {"seconds": "5", "of": 10}},
        {"every": {"seconds": 5, "of": 10, "at": 1}},
        {"every": 5},
        {"for_seconds": -1},
        {"for_seconds": "long"},
        {"for_seconds": True},
    ],
)
def test_wrong_times_of_a_rule_are_refused(rule: dict[str, object]) -> None:
    with pytest.raises(ApiError) as caught:
        Rulebook(1).add({"action": "internal", **rule})
    assert "in a rule" in caught.value.note


async def test_flapping_follows_the_emulators_clock(emu: Any) -> None:
    rule = {"action": "high-demand", "every": {"seconds": 600, "of": 1200}}
    await emu.post("/_emulator/rules", rule)
    found = []
    for _ in range(4):
        found.append((await emu.generate()).status)
        await emu.post("/_emulator/clock", {"advance_seconds": 600})
    assert found == [503, 200, 503, 200]


async def test_only_the_slow_tiers_project_waits(emu: Any) -> None:
    await emu.post("/_emulator/rules", [{"action": "slow_tier", "args": "acme:0.4"}])
    deadline = {"headers": {"X_Server_Timeout": "0.2"}}
    assert (await emu.generate(key="emu-project-acme", **deadline)).status == 504
    assert (await emu.generate(**deadline)).status == 200
    assert (await emu.get("/_emulator/rules")).json[0]["met"] == 1
    tagged = await emu.generate("[[fault:slow_tier(acme:9)]] [[fault:internal]]")
    assert tagged.status == 500


async def test_a_retired_model(emu: Any) -> None:
    model = "gemini-3-pro-image"
    rule = {"action": "model_retired", "match": {"model": model}}
    await emu.post("/_emulator/rules", rule)
    reply = await emu.generate()
    assert (reply.status, reply.error["status"]) == (404, "NOT_FOUND")
    assert f"models/{model} is not found for API version v1beta" in reply.error["message"]
    assert (await emu.get(f"/v1beta/models/{model}")).status == 404
    assert (await emu.generate(model="gemini-3.1-flash-lite-image")).status == 200


async def test_an_announcement_before_the_answer(emu: Any) -> None:
    raw, _ = await exchange(emu, "[[fault:informational]]", header="Connection: close\r\n")
    first, _, rest = raw.partition(b"\r\n\r\n")
    assert first.splitlines()[0] == b"HTTP/1.1 103 Early Hints"
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")
    assert unchunked(rest)[1] is True
    async with aiohttp.ClientSession() as session:
        url = emu.url + "/v1/models/gemini-3-pro-image:generateContent"
        headers = {"x-goog-api-key": "k", "x-emu-fault": "informational:102"}
        body = {"contents": [{"parts": [{"text": "a lake"}]}]}
        async with session.post(url, json=body, headers=headers) as reply:
            assert reply.status == 200
            assert (await reply.json())["candidates"]
    assert (await emu.generate("[[fault:informational:101]]")).status == 400
    old, _ = await exchange(emu, "[[fault:informational]]", version="1.0")
    assert old.splitlines()[0].endswith(b"200 OK")


async def test_an_endless_body_goes_on_until_the_peer_leaves(emu: Any) -> None:
    wire = Wire(emu.url)
    await wire.send("[[fault:endless]]")
    got = 0
    while got < 8 << 20:
        got += len(await wire.reader.read(1 << 20))
    wire.writer.transport.abort()
    line = await last_line(emu)
    assert (line["billed"], line["cut_by_fault"], line["last_byte"]) == (True, True, None)
    raw, end = await exchange(emu, "[[fault:endless:1]]")
    body, whole = unchunked(raw)
    assert (end, whole, len(body) > 1 << 20) == ("end", False, True)
    assert body[-(1 << 20) :] == b"QUJD" * (1 << 18)


async def test_an_endless_body_leaves_time_for_others(emu: Any) -> None:
    wire = Wire(emu.url)
    await wire.send("[[fault:endless]]")

    async def drain() -> None:
        while await wire.reader.read(1 << 20):
            pass

    draining = asyncio.create_task(drain())
    async with asyncio.timeout(60):
        assert (await emu.generate()).status == 200
    assert not draining.done()
    draining.cancel()
    wire.writer.transport.abort()


async def test_a_link_in_place_of_a_picture(emu: Any) -> None:
    plain = (await emu.generate("[[fault:image-link]]")).parts[0]["text"]
    assert "](http://127.0.0.1:9/picture.png)" in plain
    named = (await emu.generate("[[fault:parts(link, http://x.invalid/a.jpg)]]")).parts[0]["text"]
    assert "](http://x.invalid/a.jpg)" in named
    inside = (await emu.generate("[[fault:image-link:data]]")).parts[0]["text"]
    assert "](data:image/gif;base64," in inside
    assert [line["images"] for line in await emu.ledger()] == [[], [], []]


async def test_inner_errors_have_the_code_that_was_asked(emu: Any) -> None:
    for code in (400, 429, 500):
        reply = await emu.generate(f"[[fault:error-200:{code}]]")
        assert (reply.status, reply.error["code"]) == (200, code)
    assert (await emu.generate("[[fault:error-list-200:418]]")).status == 400


async def test_the_list_of_faults_tells_their_other_names(emu: Any) -> None:
    shown = {row["name"]: row["aliases"] for row in (await emu.get("/_emulator/faults")).json}
    assert shown["not-found"] == ["model-retired"]
    assert shown["internal"] == []
