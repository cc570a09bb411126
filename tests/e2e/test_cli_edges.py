"""Ordinary input that must not look like a fault of ours: odd files, numbers and streams."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.e2e.saying import Say
from tests.e2e.test_cli import GUARD, HELIOGRAPH


@pytest.mark.parametrize(
    ("option", "text", "complaint"),
    [
        ("--rules", None, "cannot read rules"),
        ("--rules", "no JSON", "cannot read rules"),
        ("--rules", "[" * 100_000, "cannot read rules"),
        ("--rules", '"a word"', "bad rule"),
        ("--quotas", None, "cannot read quotas"),
        ("--quotas", '{"x": 1}', "bad quota"),
        ("--ledger", "a file where a folder should be", "cannot keep a ledger"),
    ],
)
def test_an_emulator_that_cannot_start_says_why(
    say: Say, option: str, text: str | None, complaint: str
) -> None:
    file = Path("given.json")
    if text is not None:
        file.write_text(text)
    given = file / "below" if option == "--ledger" else file
    done = say("emulate", "--port", "0", option, str(given))
    assert (done.code, done.out) == (2, "")
    assert complaint in done.err


@pytest.mark.parametrize(
    "words", [("images", "list"), ("calls", "list"), ("ledger", "show"), ("sessions", "list")]
)
@pytest.mark.parametrize("limit", ["0", "1000001", "99999999999999999999"])
def test_a_list_has_a_bounded_length(say: Say, words: tuple[str, ...], limit: str) -> None:
    done = say(*words, "--limit", limit, "--json")
    assert done.code == 2
    assert done.problem["message"] == "must be from 1 to 1000000"
    assert say(*words, "--limit", "1000000", "--json").facts == []


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_is_json_in_every_encoding(encoding: str) -> None:
    prompt = "A 🦊 fox é 春"
    done = subprocess.run(
        [HELIOGRAPH, "generate", prompt, "--size", "1K", "--json", "--dry-run"],
        env={**os.environ, "PYTHONIOENCODING": encoding, "HELIOGRAPH_SIMULATE": "1"},
        capture_output=True,
        check=True,
        timeout=GUARD,
    )
    found = json.loads(done.stdout.decode(encoding))
    assert found["body"]["contents"][0]["parts"][0]["text"] == prompt
    failed = subprocess.run(
        [HELIOGRAPH, "images", "show", "é春", "--json"],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
        timeout=GUARD,
    )
    assert "é春" in json.dumps(json.loads(failed.stdout.decode(encoding)), ensure_ascii=False)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_failure(closed: str) -> None:
    script = f'"$0" generate "A fox" --size 1K -q -o fox.jpg {closed}'
    done = subprocess.run(
        ["bash", "-c", script, HELIOGRAPH],
        env={**os.environ, "HELIOGRAPH_SIMULATE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=GUARD,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert Path("fox.jpg").stat().st_size > 0


def test_an_error_does_not_go_to_standard_output_when_standard_error_is_closed() -> None:
    done = subprocess.run(
        ["bash", "-c", '"$0" images show 1234abcd 2>&-', HELIOGRAPH],
        capture_output=True,
        text=True,
        check=False,
        timeout=GUARD,
    )
    assert (done.returncode, done.stdout) == (9, "")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("images", "show", "nope", "--json"), 9),
        (("images", "show", "nope"), 9),
        (("nosuch", "--json"), 2),
        (("generate", "A fox", "-o", "-", "--json"), 2),
        (("images", "list", "--json"), 0),
    ],
)
@pytest.mark.parametrize("both", [False, True])
def test_an_error_keeps_its_exit_code_when_nobody_reads_it(
    words: tuple[str, ...], code: int, *, both: bool
) -> None:
    gone, pipe = os.pipe()
    os.close(gone)
    try:
        done = subprocess.run(
            [HELIOGRAPH, *words],
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe if both else subprocess.PIPE,
            check=False,
            timeout=GUARD,
        )
    finally:
        os.close(pipe)
    assert done.returncode == code
    assert b"Traceback" not in (done.stderr or b"")
    assert b"BrokenPipe" not in (done.stderr or b"")


# macOS has no such device, and a full disk of one's own needs the rights to mount one
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_an_error_keeps_its_exit_code_when_the_disk_is_full() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [HELIOGRAPH, "images", "show", "nope", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=GUARD,
        )
    assert (done.returncode, done.stderr) == (9, b"")
