"""The commands about calls, budgets and the ledger, and what `generate` says of both."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Bill, Emulated
from tests.e2e.test_cli import GUARD, HELIOGRAPH, read_until, wait_for_call

from heliograph.cli import build_app
from heliograph.cli.edge import run
from heliograph.cli.stages import RECOVERED, WORDS
from heliograph.journal import OPEN, Stage


class Said:
    """What one command printed, and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def facts(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = self.facts["error"]
        return found


Say = Callable[..., Said]
FOX = ("generate", "A fox", "--size", "1K", "-o", "out/")


@pytest.fixture(autouse=True)
def upstream(monkeypatch: pytest.MonkeyPatch, emulated: Emulated, project: str) -> None:
    """An upstream and a key in the environment, as a user would set them."""
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", emulated.url)
    monkeypatch.setenv("GEMINI_API_KEYS", f"prod=emu-project-{project}")
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a command in this process."""

    def call(*words: str) -> Said:
        capsys.readouterr()
        code = run(build_app(), list(words))
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Said(code, captured.out, captured.err)

    return call


def begin(prompt: str, *more: str) -> "subprocess.Popen[str]":
    """A `generate` of its own process."""
    return subprocess.Popen(
        [HELIOGRAPH, "generate", prompt, "--size", "1K", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def make_doubtful(say: Say) -> str:
    """A call of unknown outcome; its id as people see it."""
    done = say("generate", "A cat [[fault:cut-json]]", "--size", "1K", "--json")
    assert (done.code, done.error["charged"]) == (8, "unknown")
    return f"{done.error['record_id'][:8]}-1"


# ---------------------------------------------------------------- calls


def test_calls_tell_stage_money_and_history(say: Say, bill: Bill) -> None:
    assert say("calls", "list").out == "There are no calls yet.\n"
    assert say("calls", "list", "--doubtful", "--open").out == (
        "No call is of unknown outcome or unfinished.\n"
    )
    made = say(*FOX, "--json").facts
    refused = say("generate", "A dog [[fault:bad-argument]]", "--size", "1K", "--json").error
    assert refused["charged"] == "no"
    listed = say("calls", "list")
    assert all(len(line) <= 80 for line in listed.out.splitlines()), listed.out
    first, second = (f["id"] for f in say("calls", "list", "--json").facts)
    assert second == f"{made['id']}-1"
    assert f"{first[:8]}-1  " in listed.out
    assert "not charged" in listed.out
    assert "picture kept" in listed.out
    assert len(say("calls", "list", "--limit", "1", "--json").facts) == 1
    shown = say("calls", "show", second, "--json").facts
    assert [step["stage"] for step in shown["history"]] == [
        *("reserved", "intent", "sent", "received", "stored", "settled")
    ]
    assert shown["settled_micro"] == bill.micro
    assert (shown["reserved_micro"], shown["held_micro"]) == (0, 0)
    assert sum(line["micro"] for line in shown["ledger"]) == bill.micro
    assert shown["project"] == "prod"
    story = say("calls", "show", second[:8]).out
    assert "History (UTC):" in story
    assert f"heliograph images show {second[:8]}" in story
    assert all(line.startswith("[simulated] ") for line in story.splitlines())


def test_every_stage_has_words() -> None:
    assert set(WORDS) == set(Stage)
    assert set(RECOVERED) == set(Stage) - set(OPEN) - {Stage.HELD}


def test_a_doubtful_call_is_resolved_with_what_was_billed(say: Say) -> None:
    name = make_doubtful(say)
    (listed,) = say("calls", "list", "--doubtful", "--json").facts
    assert (listed["stage"], listed["reserved_micro"]) == ("unknown", 0)
    assert listed["held_micro"] > 130_000
    assert "quarantine" in listed["folders"][0]
    story = say("calls", "show", name).out
    assert "held" in story
    assert f"heliograph calls resolve {name}" in story
    done = say("calls", "resolve", name, "--billed", "1")
    assert done.code == 0
    assert "$1.00 were billed" in done.out
    assert f"{name}: $" in done.out
    after = say("calls", "show", name, "--json").facts
    assert (after["stage"], after["settled_micro"], after["held_micro"]) == ("settled", 10**6, 0)
    assert say("calls", "list", "--doubtful", "--json").facts == []
    assert say("ledger", "verify").code == 0


@pytest.mark.parametrize(("words", "micro"), [(["--not-billed"], 0), (["--billed"], 134_400)])
def test_resolving_without_an_amount(say: Say, words: list[str], micro: int) -> None:
    name = make_doubtful(say)
    done = say("calls", "resolve", name, *words, "--json").facts
    assert (done["settled_micro"], done["held_micro"]) == (micro, 0)
    (row,) = say("budget", "show", "--json").facts["budgets"][3:4]
    assert (row["simulated"], row["settled_micro"], row["held_micro"]) == (True, micro, 0)


def test_resolving_asks_on_a_terminal(say: Say) -> None:
    name = make_doubtful(say)
    for answer, code, stage in (("n", 1, "unknown"), ("y", 0, "released")):
        parent, child = pty.openpty()
        process = subprocess.Popen(
            [HELIOGRAPH, "calls", "resolve", name, "--not-billed"],
            stdin=child,
            stdout=child,
            stderr=child,
            close_fds=True,
        )
        os.close(child)
        seen = read_terminal(parent, "[y/N]")
        assert "nothing was billed" in seen
        os.write(parent, f"{answer}\n".encode())
        read_terminal(parent, "were written" if code else "no longer held", or_end=True)
        assert process.wait(timeout=GUARD) == code
        os.close(parent)
        assert say("calls", "show", name, "--json").facts["stage"] == stage


def read_terminal(terminal: int, text: str, *, or_end: bool = False) -> str:
    """What a terminal shows, until it shows a text."""
    seen, end = "", time.monotonic() + GUARD
    while text not in seen and time.monotonic() < end:
        if not select.select([terminal], [], [], 1.0)[0]:
            continue
        try:
            data = os.read(terminal, 4096)
        except OSError:
            break
        if not data:
            break
        seen += data.decode()
    assert or_end or text in seen, seen
    return seen


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["list", "--limit", "0"], 2, "from 1 to 1000000"),
        (["list", "--sort", "cost"], 2, "--sort"),
        (["list", "now"], 2, "now"),
        (["show", "abcdef12"], 9, "No call has this id"),
        (["show", "abc"], 9, "No call has this id"),
        (["show", "abcdef12-1"], 9, "No call has this id"),
        (["show"], 2, "CALL"),
        (["resolve", "abcdef12", "--billed"], 9, "No call has this id"),
        (["resolve", "abcdef12"], 2, "choose one of them"),
        (["resolve", "abcdef12", "--billed", "--not-billed"], 2, "cannot be both"),
        (["resolve", "abcdef12", "--billed", "much"], 2, "dollars"),
        (["resolve", "abcdef12", "--billed", "-1"], 2, "dollars"),
        (["resolve", "abcdef12", "--billed", "2000000"], 2, "1,000,000"),
    ],
)
def test_wrong_words_for_calls(say: Say, words: list[str], code: int, complaint: str) -> None:
    done = say("calls", *words)
    assert done.code == code, done.err
    assert complaint in done.err
    assert "hint: " in done.err


def test_a_finished_call_is_not_resolved(say: Say) -> None:
    made = say(*FOX, "--json").facts
    done = say("calls", "resolve", made["id"][:8], "--billed", "0.20", "--json")
    assert (done.code, done.error["code"]) == (1, "storage")
    assert "nothing to resolve" in done.error["what"]
    wrong = say("calls", "show", f"{made['id'][:8]}-2")
    assert wrong.code == 9
    assert "no call of number 2" in wrong.err


# ---------------------------------------------------------------- other processes


def test_a_killed_call_is_recovered_by_the_next_command(
    say: Say, emulated: Emulated, project: str
) -> None:
    process = begin(f"{project} [[fault:slow:150]]", "-o", "out/")
    wait_for_call(emulated, project)
    (living,) = say("calls", "list", "--open", "--json").facts
    assert (living["stage"], living["process"]) == ("sent", process.pid)
    assert living["reserved_micro"] > 130_000
    name = f"{living['id'][:8]}-1"
    assert f"in the hands of process {process.pid}" in say("calls", "list").out
    refused = say("calls", "resolve", name, "--not-billed", "--json")
    assert (refused.code, refused.error["code"]) == (1, "call_taken")
    assert str(process.pid) in refused.error["what"]
    beside = say(*FOX)
    assert f"process {process.pid} uses this library too" in beside.err
    process.kill()
    process.communicate()
    after = say("calls", "list", "--doubtful", "--json")
    assert after.err == (
        f"recovered call {name}: its outcome is unknown, it may have cost money "
        f"(heliograph calls show {name})\n"
    )
    (entry,) = after.facts
    assert (entry["stage"], entry["hand"]) == ("unknown", None)
    assert entry["held_micro"] == living["reserved_micro"]
    assert say("calls", "list").err == ""
    assert say("ledger", "verify").code == 0
    assert list(Path("out").iterdir())


def test_a_second_ctrl_c_leaves_a_call_in_doubt(say: Say, emulated: Emulated, project: str) -> None:
    process = begin(f"{project} [[fault:slow:150]]", "-n", "2")
    wait_for_call(emulated, project)
    process.send_signal(signal.SIGINT)
    read_until(process, "Already sent")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=GUARD)
    assert process.returncode == 130, err
    doubtful = say("calls", "list", "--doubtful", "--json").facts
    assert doubtful
    assert all(call["note"] == "Given up while waiting." for call in doubtful)
    assert err.count("It may have cost up to $0.148") == len(doubtful), err
    for call in doubtful:
        assert f"heliograph calls show {call['id'][:8]}" in err
    assert say("calls", "list", "--open", "--json").facts == []
    assert say("ledger", "verify").code == 0


def test_a_late_picture_is_waited_for(
    say: Say, monkeypatch: pytest.MonkeyPatch, bill: Bill
) -> None:
    monkeypatch.setenv("HELIOGRAPH_ANSWER_TIMEOUT", "1")
    monkeypatch.setenv("HELIOGRAPH_LATE_TIMEOUT", "25")
    done = say("generate", "A fox [[fault:delay-headers:3]]", "--size", "1K")
    assert done.code == 0, done.err
    assert "late; still listening for 25 s, Ctrl-C gives up" in done.err
    assert len(bill.lines) == 1


def test_ctrl_c_gives_up_a_late_picture_at_once(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_ANSWER_TIMEOUT", "1")
    process = begin("A fox [[fault:delay-headers:150]]")
    read_until(process, "late; ")
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=GUARD)
    assert process.returncode == 130, rest
    assert "Already sent" not in rest
    (call,) = say("calls", "list", "--doubtful", "--json").facts
    assert call["note"] == "Given up while waiting."


# ---------------------------------------------------------------- generate


def test_where_a_picture_came_from_and_what_it_cost(say: Say, bill: Bill) -> None:
    first = say(*FOX, "--idempotency-key", "order-1", "--json").facts
    assert (first["source"], first["charged_micro"]) == ("call", bill.micro)
    again = say(*FOX, "--idempotency-key", "order-1", "--json").facts
    assert (again["source"], again["charged_micro"]) == ("replay", 0)
    assert again["files"] == first["files"]
    assert again["cost_micro"] == bill.micro
    words = say(*FOX, "--idempotency-key", "order-1")
    assert "this idempotency key), no call, no charge, kept as" in words.err
    assert len(bill.lines) == 1
    seeded = (*FOX, "--seed", "7")
    assert say(*seeded, "--json").facts["source"] == "call"
    assert say(*seeded, "--json").facts["source"] == "twin"
    assert say(*seeded, "--fresh", "--json").facts["source"] == "call"
    assert "an identical earlier request), no call, no charge" in say(*seeded).err
    assert len(bill.lines) == 3


def test_a_replay_that_cannot_be_written_was_not_charged(say: Say) -> None:
    say("generate", "A fox", "--size", "1K", "-o", "one.jpg", "--idempotency-key", "k")
    Path("out.png").write_text("mine")
    words = ("generate", "A fox", "--size", "1K", "-o", "out", "--idempotency-key", "k")
    Path("out.jpg").write_text("mine, too")
    done = say(*words, "--json")
    assert (done.code, done.error["charged"]) == (2, "no")
    assert Path("out.jpg").read_text() == "mine, too"


def test_one_key_stands_for_one_request(say: Say, bill: Bill) -> None:
    assert say(*FOX, "--idempotency-key", "k").code == 0
    other = say("generate", "A dog", "--size", "1K", "--idempotency-key", "k", "--json")
    assert (other.code, other.error["code"]) == (2, "idempotency_key_reused")
    failed = ("generate", "A [[fault:no-image]] fox", "--size", "1K", "--idempotency-key", "f")
    assert say(*failed).code == 6
    again = say(*failed)
    assert again.code == 6
    assert "nothing was sent now" in again.err
    assert len(bill.lines) == 2


def test_variations_have_keys_and_pictures_of_their_own(
    say: Say, monkeypatch: pytest.MonkeyPatch, bill: Bill
) -> None:
    several = (*FOX, "-n", "2", "--idempotency-key", "k", "--json")
    made = say(*several).facts["images"]
    again = say(*several).facts["images"]
    assert {i["sha256"] for i in made} == {i["sha256"] for i in again}
    assert len({i["sha256"] for i in made}) == 2
    assert {i["source"] for i in again} == {"replay"}
    one = say(*FOX, "--idempotency-key", "k-2", "--json").facts
    assert one["sha256"] in {i["sha256"] for i in made}
    assert len(bill.lines) == 2
    # whoever asks for several wants several, whatever identical pictures may answer
    monkeypatch.setenv("HELIOGRAPH_CACHE", "all")
    cats = ("generate", "A cat", "--size", "1K", "-o", "out/", "-n", "2", "--json")
    assert len({i["id"] for i in say(*cats).facts["images"]}) == 2


def test_a_fallback_is_asked_and_named(say: Say, bill: Bill) -> None:
    done = say(
        *("generate", "A fox [[fault:not-found*1]]", "--size", "1K", "--json"),
        *("--fallback", "gemini-nano-banana-2.1", "--verbose"),
    )
    assert done.facts["model"] == "gemini-nano-banana-2.1"
    told = say(
        *("generate", "A cat [[fault:not-found*1]]", "--size", "1K"),
        *("--fallback", "gemini-nano-banana-2.1"),
    )
    assert "Nothing was charged; asking gemini-nano-banana-2.1 instead." in told.err
    assert [bool(line["billed_micro"]) for line in bill.lines] == [False, True, False, True]
    job = done.facts["id"][:8]
    assert say("calls", "show", f"{job}-1", "--json").facts["stage"] == "released"
    assert say("calls", "show", f"{job}-2", "--json").facts["stage"] == "settled"
    assert "More than one" in say("calls", "show", job).err


def test_the_limit_holds_for_every_fallback(say: Say, bill: Bill) -> None:
    words = (*FOX, "--model", "gemini-nano-banana-2.1", "--fallback", "gemini-3-pro-image")
    assert say(*words, "--max-cost", "0.12").code == 7
    assert bill.lines == []
    done = say(*words, "--max-cost", "0.15")
    assert done.code == 0
    assert "note: gemini-3-pro-image may cost up to $0.14" in done.err


def test_an_unknown_outcome_is_asked_again_only_when_allowed(
    say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELIOGRAPH_RETRY_UNKNOWN", "true")
    done = say("generate", "A fox [[fault:cut-json*1]]", "--size", "1K")
    assert done.code == 0
    assert "Asking once more, as retry_unknown says; both may be charged." in done.err
    assert "heliograph calls list" in done.err


def test_the_provider_s_spend_limit_is_kept_to(
    say: Say, monkeypatch: pytest.MonkeyPatch, bill: Bill
) -> None:
    monkeypatch.setenv("HELIOGRAPH_SPEND_PER_10_MINUTES", "0.20")
    monkeypatch.setenv("HELIOGRAPH_PATIENCE", "6")
    assert say(*FOX).code == 0
    done = say(*FOX)
    assert done.code == 5
    assert done.err.count("may not spend more in these ten minutes (spend_per_10") == 1
    assert len(bill.lines) == 1


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["--tag", "two words"], 2, "tag"),
        (["--tag", ""], 2, "tag"),
        (["--idempotency-key", "with space"], 2, "idempotency_key"),
        (["--idempotency-key", ""], 2, "idempotency_key"),
        (["--idempotency-key", "k" * 254, "-n", "10"], 2, "with its number"),
        (["--fallback", "no-such-model"], 2, "fallback"),
        (["--fallback", "gemini-3.1-flash-lite-image"], 2, "allow_downgrade"),
        (["--fallback", "gemini-3-pro-image"], 2, "named twice"),
    ],
)
def test_wrong_words_for_repeats(
    say: Say, bill: Bill, words: list[str], code: int, complaint: str
) -> None:
    done = say("generate", "A fox", "--size", "4K", *words)
    assert done.code == code, done.err
    assert complaint in done.err
    assert bill.lines == []


# ---------------------------------------------------------------- budgets and ledger


def test_a_budget_stops_what_does_not_fit(say: Say, bill: Bill) -> None:
    assert "0 % of $0.25" in say("budget", "set", "tag/ads", "0.25").out
    assert say("budget", "set", "month", "$5", "--json").facts[0]["limit_micro"] == 5_000_000
    assert say(*FOX, "--tag", "ads").code == 0
    stopped = say(*FOX, "--tag", "ads", "--json")
    assert (stopped.code, stopped.error["code"]) == (7, "budget_exceeded")
    assert stopped.error["facts"]["budget"] == "tag/ads"
    assert len(bill.lines) == 1
    assert say(*FOX).code == 0
    shown = say("budget", "show", "--json").facts
    rows = {(r["name"], r["simulated"]): r for r in shown["budgets"]}
    assert rows["month", True]["settled_micro"] == bill.micro
    assert rows["month", True]["left_micro"] == 5_000_000 - bill.micro
    assert rows["month", False]["settled_micro"] == 0
    assert rows["tag/ads", True]["settled_micro"] < bill.micro
    assert shown["zone"] == "UTC"
    words = say("budget", "show").out
    assert all(len(line) <= 80 for line in words.splitlines()), words
    assert "% of $5.00" in words
    assert say("budget", "remove", "tag/ads", "--json").facts == {"removed": "tag/ads"}
    assert say("budget", "remove", "tag/ads", "--json").code == 2
    assert say(*FOX, "--tag", "ads").code == 0


def test_a_budget_that_is_used_up_by_a_hold(say: Say) -> None:
    say("budget", "set", "day", "0.25")
    name = make_doubtful(say)
    assert "held, " in say("budget", "show").out
    assert say(*FOX).code == 7
    assert say("calls", "resolve", name, "--not-billed").code == 0
    assert say(*FOX).code == 0


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["set", "week", "5"], 2, "tag/NAME"),
        (["set", "day", "much"], 2, "dollars"),
        (["set", "day", "-1"], 2, "dollars"),
        (["set", "day"], 2, "AMOUNT"),
        (["remove", "day"], 2, "no budget that is set"),
        (["remove", "tag/none"], 2, "no budget that is set"),
        (["remove"], 2, "NAME"),
        (["show", "day"], 2, "day"),
        (["show", "--all"], 2, "--all"),
        (["shwo"], 2, "shwo"),
    ],
)
def test_wrong_words_for_budgets(say: Say, words: list[str], code: int, complaint: str) -> None:
    done = say("budget", *words)
    assert done.code == code, done.err
    assert complaint in done.err
    assert "hint: " in done.err
    assert say("budget", "show", "--json").facts["budgets"][1]["limit_micro"] is None


def test_the_books_add_up_until_somebody_changes_them(say: Say, bill: Bill, tmp_path: Path) -> None:
    assert say("ledger", "show").out == "There are no lines yet.\n"
    made = say(*FOX, "--json").facts
    make_doubtful(say)
    verified = say("ledger", "verify")
    assert verified.code == 0
    assert verified.out.startswith("The books add up: 1 call settled, $")
    assert "held (simulated), 1 call of unknown outcome." in verified.out
    lines = say("ledger", "show", "--record", made["id"][:8], "--json").facts
    assert sorted(line["kind"] for line in lines) == ["release", "reserve", "settle"]
    assert len(say("ledger", "show", "--json").facts) == 6
    assert "settle" in say("ledger", "show").out
    database = tmp_path / "library" / "heliograph.db"
    change = "update balances set settled = settled + 1"
    script = f"import sqlite3; c = sqlite3.connect({str(database)!r}); c.execute({change!r}); "
    subprocess.run([sys.executable, "-c", f"{script}c.commit()"], check=True)
    wrong = say("ledger", "verify", "--json")
    assert (wrong.code, wrong.facts["ok"]) == (1, False)
    assert {f["subject"].partition("/")[0] for f in wrong.facts["findings"]} == {
        *("day", "month", "total")
    }
    assert "do not add up: 3 findings" in say("ledger", "verify").out


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["show", "--limit", "0"], 2, "from 1 to 1000000"),
        (["show", "--record", "abcdef12"], 9, "abcdef12"),
        (["show", "abcdef12"], 2, "abcdef12"),
        (["verify", "--deep"], 2, "--deep"),
        (["verify", "now"], 2, "now"),
        (["check"], 2, "check"),
    ],
)
def test_wrong_words_for_the_ledger(say: Say, words: list[str], code: int, complaint: str) -> None:
    done = say("ledger", *words)
    assert done.code == code, done.err
    assert complaint in done.err
    assert "hint: " in done.err


def test_estimates_name_the_budgets_of_a_library_that_is_there(
    say: Say, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert say("estimate", "A fox", "--json").facts["budgets"] == []
    say("budget", "set", "day", "0.10")
    assert "Budget: day has $0.10 left, which is not enough" in say("estimate", "A fox").out
    monkeypatch.setenv("HELIOGRAPH_HOME", str(tmp_path / "none"))
    assert say("estimate", "A fox").code == 0
    assert not (tmp_path / "none").exists()


class Silent(BaseHTTPRequestHandler):
    """No emulator: it takes a request whole and hangs up."""

    def do_GET(self) -> None:
        self.send_error(404)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Quiet."""


def test_doctor_counts_what_may_have_been_paid_for(
    say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Silent) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", address)
        assert [say(*FOX).code for _ in range(2)] == [8, 8]
        journal = next(c for c in say("doctor", "--json").facts["checks"] if c["name"] == "journal")
        server.shutdown()
    assert journal == {
        "name": "journal",
        "state": "warn",
        "finding": "2 calls have an unknown outcome and may have cost $0.297352",
        "remedy": "See which: heliograph calls list --doubtful",
    }


def test_doctor_tells_of_doubts_and_budgets(say: Say) -> None:
    def checks() -> dict[str, dict[str, str]]:
        return {c["name"]: c for c in say("doctor", "--json").facts["checks"]}

    before = checks()
    assert before["journal"]["finding"] == "no call has an unknown outcome"
    assert before["limits"]["finding"] == "no budget is set"
    assert before["books"]["finding"] == "add up: 0 calls settled"
    make_doubtful(say)
    say("budget", "set", "day", "0")
    after = checks()
    assert after["journal"]["finding"] == "no call but 1 simulated has an unknown outcome"
    assert (after["limits"]["state"], bool(after["limits"]["remedy"])) == ("warn", True)
    assert "day has $0.00 of $0.00 left" in after["limits"]["finding"]
    assert "1 call of unknown outcome" in after["books"]["finding"]
