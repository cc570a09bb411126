"""The command line as a user meets it: its two streams, its exit code, its files.

What a process adds (start, signals, pipes, a terminal, the exit code that the shell sees) is tried
in processes; what a command does is tried in this one, because a start takes longer than most of
them.
"""

import hashlib
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.e2e.conftest import Bill, Emulated
from tests.e2e.holding import Held, holding

from heliograph.cli import build_app, edge

Run = Callable[..., subprocess.CompletedProcess[str]]
GUARD = 60  # seconds after which something that hangs is given up
HELIOGRAPH = str(Path(sys.executable).parent / "heliograph")


@pytest.fixture
def env(emulated: Emulated, project: str) -> dict[str, str]:
    """The tests' environment with an upstream and a key, as a user would set them."""
    return {
        **os.environ,
        "GOOGLE_GEMINI_BASE_URL": emulated.url,
        "GEMINI_API_KEY": f"emu-project-{project}",
        "COLUMNS": "100",
    }


@pytest.fixture
def typed(env: dict[str, str]) -> Run:
    """A command in a process of its own."""

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [HELIOGRAPH, *words],
            env=env,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
        )

    return call


@pytest.fixture
def run(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """A command in this process."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)

    def call(*words: str, **changes: str) -> subprocess.CompletedProcess[str]:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
            for name, value in changes.items():
                patch.setenv(name, value)
            code = edge.run(build_app(), list(words))
        said = capsys.readouterr()
        return subprocess.CompletedProcess(words, code, said.out, said.err)

    return call


def facts(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.stderr == "" or done.returncode != 0, done.stderr
    return json.loads(done.stdout)


def error(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)["error"]
    return found


def test_the_issue_s_own_command(typed: Run, bill: Bill) -> None:
    done = typed(
        *("generate", "A snow leopard on a cliff at golden hour"),
        *("--aspect", "16:9", "--size", "4k", "--json"),
    )
    found = facts(done)
    assert done.returncode == 0
    assert (found["width"], found["height"], found["verdict"]) == (5504, 3072, "verified")
    assert found["simulated"] is True
    assert found["cost_micro"] == bill.micro
    (file,) = found["files"]
    assert Path(file["path"]).name.startswith("snow-leopard-cliff-golden-hour-simulated-")
    with Image.open(file["path"]) as picture:
        assert picture.size == (5504, 3072)
    assert hashlib.sha256(Path(file["path"]).read_bytes()).hexdigest() == bill.image()["sha256"]


def test_every_line_says_simulated_and_the_key_stays_hidden(typed: Run, project: str) -> None:
    done = typed("generate", "A fox", "--size", "1K", "-o", "fox.jpg")
    assert done.returncode == 0
    assert done.stdout == "fox.jpg\n"
    lines = done.stderr.splitlines()
    assert len(lines) >= 4
    assert all(line.startswith("[simulated] ") for line in lines)
    unnamed = typed("generate", "A fox", "--size", "1K", "-q")
    assert unnamed.stdout.startswith("fox-simulated-")
    assert unnamed.stderr == ""
    assert project not in done.stdout + done.stderr


def test_without_a_key_the_emulator_is_started_and_gone_afterwards(
    env: dict[str, str], tmp_path: Path
) -> None:
    bare = {k: v for k, v in env.items() if not k.startswith(("GOOGLE_", "GEMINI_"))}
    done = subprocess.run(
        [HELIOGRAPH, "generate", "A fox", "--size", "1K", "--json"],
        env=bare,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = facts(done)
    assert found["simulated"] is True
    assert found["key"] == "none (simulated)"
    lines = (tmp_path / "library" / "emulator" / "ledger.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["billed_micro"] == found["cost_micro"]
    port = found["upstream"].rpartition(":")[2]
    listening = subprocess.run(
        [sys.executable, "-c", f"import socket; socket.create_connection(('127.0.0.1', {port}))"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert listening.returncode != 0


def test_no_simulate_insists_on_a_key(env: dict[str, str]) -> None:
    bare = {k: v for k, v in env.items() if not k.startswith(("GOOGLE_", "GEMINI_"))}
    done = subprocess.run(
        [HELIOGRAPH, "generate", "A fox", "--no-simulate", "--json"],
        env=bare,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, error(done)["code"]) == (4, "missing_key")


def test_wrong_requests_list_every_problem(run: Run, bill: Bill) -> None:
    done = run(
        *("generate", "A fox", "--size", "0.5K", "--aspect", "7:3", "--thinking", "deep"), "--json"
    )
    assert done.returncode == 2
    problems = {p["field"]: p["nearest"] for p in error(done)["facts"]["problems"]}
    assert set(problems) == {"size", "aspect", "thinking"}
    assert problems["size"][0] == "1K"
    assert problems["aspect"][0] == "21:9"
    assert error(done)["charged"] == "no"
    retired = run("estimate", "A fox", "--model", "gemini-3-pro-image-preview")
    assert retired.returncode == 2
    assert "2026-06-25" in retired.stderr
    assert "gemini-3-pro-image" in retired.stderr
    assert bill.lines == []


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["generate"], 2, "prompt"),
        (["generate", "x", "--siez", "4K"], 2, "--siez"),
        (["generate", "x", "--max-bytes", "lots"], 2, "number of bytes"),
        (["generate", "x", "--max-cost", "cheap"], 2, "dollars"),
        (["generate", "x", "--safety", "violence"], 2, "CATEGORY=THRESHOLD"),
        (["generate", "x", "-i", "missing.png"], 2, "missing.png"),
        (["generate", "x", "-i", "https://example.com/a.png"], 2, "download it first"),
        (["generate", "x", "-i", "abcdef12"], 9, "abcdef12"),
        (["generate", "x", "-o", "pic.gif"], 2, "pic.jpg"),
        (["generate", "x", "-n", "0"], 2, "from 1 to 100"),
        (["generate", "x", "-n", "2", "-o", "-"], 2, "one picture"),
        (["generate", "x", "--tier", "batch"], 2, "flex"),
        (["generate", "a", "fox"], 2, "into quotes"),
        (["generate", "--prompt-file", "missing.txt"], 2, "missing.txt"),
        (["generate", "x", "--max-cost", "0.10"], 7, "above the limit"),
        (["images", "show", "abcdef"], 9, "abcdef"),
        (["costs", "--month", "yesterday"], 2, "no month"),
        (["emulate", "--host", "192.0.2.1"], 2, "loopback"),
        (["frobnicate"], 2, "frobnicate"),
    ],
)
def test_wrong_input_is_named_with_a_remedy(
    run: Run, words: list[str], code: int, complaint: str
) -> None:
    done = run(*words)
    assert done.returncode == code, done.stderr
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert "hint: " in done.stderr
    assert "error: " in done.stderr


def test_strict_exits_8_and_keeps_the_file(typed: Run) -> None:
    done = typed("generate", "A fox [[fault:silent-1k]]", "--strict", "--json")
    assert (done.returncode, error(done)["code"]) == (8, "size_mismatch")
    record = error(done)["record_id"]
    shown = facts(typed("images", "show", record[:8], "--json"))
    assert shown["verdict"] == "downgraded"
    assert Path(shown["original"]).stat().st_size == shown["bytes"]
    (settled,) = [line["micro"] for line in shown["ledger"] if line["kind"] == "settle"]
    assert settled == shown["cost_micro"] < 200_000


def test_a_downgrade_is_loud_without_strict(run: Run) -> None:
    done = run("generate", "A fox [[fault:silent-1k]]", "-o", "fox.jpg")
    assert done.returncode == 0
    assert "DOWNGRADED" in done.stderr
    assert "1K" in done.stderr


@pytest.mark.parametrize("fault", ["image-safety", "no-image", "prompt-blocked", "text-refusal"])
def test_refusals_exit_6_in_plain_words(run: Run, bill: Bill, fault: str) -> None:
    done = run("generate", f"A fox [[fault:{fault}]]")
    assert done.returncode == 6
    assert "hint: " in done.stderr
    charged = re.search(r"charged: (\w+)", done.stderr)
    assert charged is not None
    assert charged[1] == ("yes" if bill.micro else "no")


def test_exact_pixels_and_a_format_from_the_name(run: Run) -> None:
    done = run(
        *("generate", "A poster", "--pixels", "1920x1080", "-o", "wall.png", "--thumbnail"),
        "--json",
    )
    files = {f["name"]: f for f in facts(done)["files"]}
    with Image.open("wall.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (1920, 1080))
    assert Path(files["thumbnail"]["path"]).name == "wall-thumbnail.webp"


def test_nothing_is_overwritten_without_force(run: Run, bill: Bill) -> None:
    Path("fox.jpg").write_text("mine")
    done = run("generate", "A fox", "--size", "1K", "-o", "fox.jpg", "--json")
    assert (done.returncode, error(done)["code"]) == (2, "would_overwrite")
    assert Path("fox.jpg").read_text() == "mine"
    assert bill.lines == []
    assert run("generate", "A fox", "--size", "1K", "-o", "fox.jpg", "--force").returncode == 0
    assert Path("fox.jpg").stat().st_size > 1000


def test_the_library_lists_exports_sums_and_rebuilds(run: Run, tmp_path: Path, bill: Bill) -> None:
    made = facts(run("generate", "A fox at dawn", "--size", "1K", "--json"))
    run("generate", "A [[fault:no-image]] fox")
    listed = facts(run("images", "list", "dawn", "--json"))
    assert [r["id"] for r in listed] == [made["id"]]
    assert made["id"][:8] in run("images", "list").stdout
    again = facts(
        run("images", "export", made["id"][:8], "--pixels", "640x360", "-o", "s.webp", "--json")
    )
    assert (again[0]["pixels"], again[0]["format"]) == ("640x360", "webp")
    costs = facts(run("costs", "--by", "model", "--json"))
    assert sum(r["micro"] for r in costs["rows"]) == bill.micro
    assert costs["total_micro"] == 0
    for file in (tmp_path / "library").glob("heliograph.db*"):
        file.unlink()
    rebuilt = facts(run("images", "rebuild", "--json"))
    assert len(rebuilt["added"]) == 2
    assert facts(run("costs", "--by", "model", "--json")) == costs


def test_the_prompt_can_come_from_standard_input(env: dict[str, str]) -> None:
    done = subprocess.run(
        [HELIOGRAPH, "generate", "--size", "1K", "--json"],
        env=env,
        input="A fox\nin the snow",
        check=False,
        capture_output=True,
        text=True,
    )
    assert facts(done)["prompt"] == "A fox\nin the snow"


def test_estimates_and_models_need_no_key_and_no_network(run: Run) -> None:
    dead = {"GOOGLE_GEMINI_BASE_URL": "http://127.0.0.1:9", "GEMINI_API_KEY": ""}
    found = facts(run("estimate", "A fox", "--size", "4K", "--json", **dead))
    assert found["estimate"]["low_micro"] <= found["estimate"]["expected_micro"]
    assert any(a["model"] == "gemini-nano-banana-2.1" for a in found["alternatives"])
    offers = facts(run("estimate", "--all", "--json", **dead))
    pro = {(o["size"], o["tier"]): o["low_micro"] for o in offers if "pro" in o["model"]}
    assert pro["4K", "standard"] == 240_000
    assert pro["4K", "batch"] == 120_000
    live = {m["id"] for m in facts(run("models", "--json", **dead))}
    assert live == {
        "gemini-3-pro-image",
        "gemini-nano-banana-2.1",
        "gemini-3.1-flash-lite-image",
    }


def wait_for_call(emulated: Emulated | Held, prompt: str) -> None:
    """Until the emulator has read a request with this prompt."""
    end = time.monotonic() + GUARD
    while time.monotonic() < end:
        with urllib.request.urlopen(f"{emulated.url}/_emulator/requests") as response:  # noqa: S310
            if any(prompt in json.dumps(call["json"]) for call in json.load(response)):
                return
        time.sleep(0.1)
    raise AssertionError("the call never reached the emulator")


def read_until(process: "subprocess.Popen[str]", words: str) -> str:
    """What a process says on its standard error, up to the line with these words."""
    assert process.stderr is not None
    said = ""
    while words not in said:
        line = process.stderr.readline()
        assert line, f"it ended without {words!r}: {said}"
        said += line
    return said


def test_ctrl_c_waits_for_what_is_paid_for(
    env: dict[str, str], emulated: Emulated, project: str
) -> None:
    with holding(emulated.url) as held:
        process = subprocess.Popen(
            [HELIOGRAPH, "generate", project, "--size", "1K", "-o", "fox.jpg"],
            env={**env, "GOOGLE_GEMINI_BASE_URL": held.url},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for_call(emulated, project)
        process.send_signal(signal.SIGINT)
        read_until(process, "Already sent")
        held.let_go()
        out, err = process.communicate(timeout=GUARD)
    assert process.returncode == 130, err
    assert Path("fox.jpg").exists()
    assert out == "fox.jpg\n"
    assert "verified" in err


def test_a_second_ctrl_c_gives_up_and_writes_it_down(
    env: dict[str, str], emulated: Emulated, project: str, run: Run
) -> None:
    process = subprocess.Popen(
        [HELIOGRAPH, "generate", f"{project} [[fault:slow:150]]", "--size", "1K"],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_call(emulated, project)
    process.send_signal(signal.SIGINT)
    read_until(process, "Already sent")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=GUARD)
    assert process.returncode == 130, err
    (record,) = facts(run("images", "list", "--json"))
    assert record["outcome"] == "unknown"
    assert "may have cost" in record["warnings"][0]


def test_a_terminal_sees_a_live_line_that_is_cleared(
    env: dict[str, str], emulated: Emulated
) -> None:
    parent, child = pty.openpty()
    with holding(emulated.url) as held:
        process = subprocess.Popen(
            [HELIOGRAPH, "generate", "A fox", "--size", "1K"],
            env={**env, "TERM": "xterm-256color", "GOOGLE_GEMINI_BASE_URL": held.url},
            stdin=child,
            stdout=child,
            stderr=child,
            close_fds=True,
        )
        os.close(child)
        seen = b""
        while True:
            try:
                data = os.read(parent, 4096)
            except OSError:
                break
            if not data:
                break
            seen += data
            if b"waiting for the picture" in seen:
                held.let_go()
        process.wait(timeout=GUARD)
    os.close(parent)
    text = seen.decode()
    assert "waiting for the picture" in text
    assert "\r\x1b[2K" in text
    assert "verified" in text
    # the path stands alone on its line, whatever the live line was doing
    assert re.search(r"(\x1b\[2K|\n)fox-simulated-\w+\.jpg\r\n", text)


def test_a_prompt_cannot_steer_the_terminal(run: Run) -> None:
    run("generate", "A fox\x1b]0;owned\x07 \u202egnp", "--size", "1K")
    done = run("images", "list")
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout


def test_a_prompt_alone_means_generate(typed: Run) -> None:
    done = typed("A fox in the snow", "--size", "1K", "-o", "fox.jpg")
    assert (done.returncode, done.stdout) == (0, "fox.jpg\n")
    mistyped = typed("genrate")
    assert mistyped.returncode == 2
    assert "genrate" in mistyped.stderr


def test_variations_side_by_side_and_partly_done(run: Run, bill: Bill) -> None:
    done = run("generate", "A fox", "--size", "1K", "-n", "3", "-o", "fox.jpg")
    assert done.returncode == 0
    assert sorted(done.stdout.split()) == ["fox-1.jpg", "fox-2.jpg", "fox-3.jpg"]
    assert len({line["call"] for line in bill.lines}) == 3
    # the fault hits the first of the two calls that carry this prompt
    partly = run("generate", "A cat [[fault:no-image*1]]", "--size", "1K", "-n", "2", "--json")
    assert partly.returncode == 3
    found = json.loads(partly.stdout)
    assert (len(found["images"]), len(found["errors"])) == (1, 1)
    assert found["errors"][0]["code"] == "no_image"
    limited = run("generate", "A fox", "--size", "1K", "-n", "3", "--max-cost", "0.30")
    assert limited.returncode == 7


def test_a_dry_run_shows_the_request_and_sends_nothing(run: Run, bill: Bill, project: str) -> None:
    Image.effect_noise((64, 64), 50).convert("RGB").save("ref.png")
    done = run("generate", "A fox", "-i", "ref.png", "--aspect", "16:9", "--dry-run")
    found = facts(done)
    assert found["url"].endswith("/v1/models/gemini-3-pro-image:generateContent")
    parts = found["body"]["contents"][0]["parts"]
    assert parts[0] == {"text": "A fox"}
    assert parts[1]["inlineData"]["data"].startswith("sha256:")
    assert found["body"]["generationConfig"]["imageConfig"]["imageSize"] == "4K"
    assert found["plan"]["estimate"]["expected_micro"] > 240_000
    assert project not in done.stdout
    assert bill.lines == []


def test_pictures_through_pipes_and_ids(env: dict[str, str], run: Run, bill: Bill) -> None:
    made = subprocess.run(
        [HELIOGRAPH, "generate", "--size", "1K", "-o", "-", "-q"],
        env=env,
        input=b"A fox",
        capture_output=True,
        check=True,
    )
    assert hashlib.sha256(made.stdout).hexdigest() == bill.image()["sha256"]
    edited = subprocess.run(
        [HELIOGRAPH, "generate", "Make it night", "--size", "1K", "-i", "-", "--json"],
        env=env,
        input=made.stdout,
        capture_output=True,
        check=True,
    )
    second = json.loads(edited.stdout)
    assert second["parents"] == [bill_of_first(bill)]
    third = facts(run("generate", "Add snow", "--size", "1K", "-i", second["id"][:8], "--json"))
    assert third["parents"] == [second["sha256"]]


def bill_of_first(bill: Bill) -> str:
    first: str = bill.lines[0]["images"][0]["sha256"]
    return first


def test_names_are_checked_before_paying_and_again_after(run: Run, bill: Bill) -> None:
    Path("taken").mkdir()
    Path("taken/fox.webp").write_text("mine")
    Path("taken/cat-preview.webp").write_text("mine")
    for words in (["-o", "taken/fox", "--format", "webp"], ["-o", "taken/cat.jpg", "--preview"]):
        early = run("generate", "A fox", "--size", "1K", *words, "--json")
        assert (early.returncode, error(early)["charged"]) == (2, "no")
    assert run("generate", "A fox", "-o", "taken/fox.webp/x.jpg").returncode == 1
    assert bill.lines == []
    # a JPEG is expected and a PNG comes, whose name is taken
    Path("taken/dog.png").write_text("mine")
    paid = run(
        *("generate", "A dog [[fault:image:png]]", "--size", "1K", "-o", "taken/dog.jpg"), "--json"
    )
    assert (error(paid)["charged"], error(paid)["facts"]["cost_micro"]) == ("yes", bill.micro)
    assert error(paid)["record_id"]
    assert Path("taken/dog.png").read_text() == "mine"
