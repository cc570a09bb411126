"""Commands that make several pictures, when they are stopped and when every picture fails."""

import json
import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Bill, Emulated
from tests.e2e.holding import holding
from tests.e2e.saying import Say
from tests.e2e.test_cli import GUARD, HELIOGRAPH, read_until, wait_for_call


@pytest.fixture
def env(emulated: Emulated, project: str) -> dict[str, str]:
    key = f"emu-project-{project}"
    return {**os.environ, "GOOGLE_GEMINI_BASE_URL": emulated.url, "GEMINI_API_KEY": key}


def begin(env: dict[str, str], *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [HELIOGRAPH, *words],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def arrived(emulated: Emulated, prompt: str) -> int:
    """Calls with this prompt that the emulator has read."""
    with urllib.request.urlopen(f"{emulated.url}/_emulator/requests") as response:  # noqa: S310
        return sum(prompt in json.dumps(call["json"]) for call in json.load(response))


# ---------------------------------------------------------------- Ctrl-C


@pytest.mark.parametrize("form", ["paths", "json"])
def test_ctrl_c_begins_no_other_picture_and_keeps_those_under_way(
    env: dict[str, str], emulated: Emulated, project: str, bill: Bill, form: str
) -> None:
    as_json = ("--json",) if form == "json" else ()
    words = (project, "--size", "1K", "-n", "12", "-o", "out/", *as_json)
    with holding(emulated.url) as held:
        process = begin({**env, "GOOGLE_GEMINI_BASE_URL": held.url}, "generate", *words)
        wait_for_call(emulated, project)
        process.send_signal(signal.SIGINT)
        read_until(process, "no other picture is begun")
        held.let_go()
        out, err = process.communicate(timeout=GUARD)
    assert process.returncode == 130, err
    made = json.loads(out)["images"] if as_json else out.splitlines()
    assert 1 <= len(made) <= 8
    assert len(bill.lines) == len(made) == len(list(Path("out").iterdir()))


def test_what_was_made_before_a_second_ctrl_c_is_in_the_json(
    env: dict[str, str], emulated: Emulated, project: str
) -> None:
    prompt = f"{project} [[fault:slow:150*1]]"  # the first of the two
    process = begin(env, "generate", prompt, "--size", "1K", "-n", "2", "-o", "out/", "--json")
    end = time.monotonic() + GUARD
    while not (Path("out").is_dir() and list(Path("out").iterdir())) or (
        arrived(emulated, project) < 2
    ):
        assert time.monotonic() < end, "one picture was never made"
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    read_until(process, "Already sent")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=GUARD)
    assert process.returncode == 130, err
    found = json.loads(out)
    (image,), (error,) = found["images"], found["errors"]
    assert Path(image["files"][0]["path"]).is_file()
    assert (error["code"], error["charged"]) == ("outcome_unknown", "unknown")
    assert error["facts"]["may_have_cost_micro"] > 130_000


@pytest.mark.parametrize("command", ["generate", "edit"])
def test_json_says_what_became_of_one_picture_that_was_given_up(
    env: dict[str, str], emulated: Emulated, project: str, say: Say, command: str
) -> None:
    prompt = f"{project} [[fault:slow:150]]"
    words: tuple[str, ...] = ("generate", prompt)
    if command == "edit":
        made = say("generate", "A boat", "--size", "1K", "--json").facts
        words = ("edit", made["id"], prompt)
    process = begin(env, *words, "--size", "1K", "--json")
    wait_for_call(emulated, project)
    process.send_signal(signal.SIGINT)
    read_until(process, "Already sent")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=GUARD)
    assert process.returncode == 130, err
    error: dict[str, Any] = json.loads(out)["error"]
    assert (error["code"], error["charged"]) == ("outcome_unknown", "unknown")
    (call,) = say("calls", "list", "--doubtful", "--json").facts
    assert (error["record_id"], error["facts"]["may_have_cost_micro"]) == (
        call["job"],
        call["held_micro"],
    )


# ---------------------------------------------------------------- every picture fails


def test_when_every_picture_fails_every_charge_is_told(say: Say, bill: Bill) -> None:
    words = ("generate", "A pier [[fault:image:cut]]", "--size", "1K", "-n", "3")
    told = say(*words)
    assert told.code == 8, told.err
    charges = [line for line in told.err.splitlines() if "charged: yes" in line]
    assert len(charges) == len(bill.lines) == 3
    before = bill.micro
    found = say(*words, "--json")
    assert found.code == 8
    assert found.facts["images"] == []
    paid = sum(error["facts"]["cost_micro"] for error in found.facts["errors"])
    assert len(found.facts["errors"]) == 3
    assert paid == bill.micro - before > 0
