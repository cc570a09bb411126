"""The edge of the process: every error becomes words and an exit code here, nowhere else."""

import io
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.cli.screen import note, print_json
from heliograph.errors import HeliographError

if TYPE_CHECKING:
    from cyclopts import App

INTERRUPTED = 130
TERMINATED = 128 + 15  # the shell's own code for SIGTERM
UNEXPECTED = 1


class Terminated(KeyboardInterrupt):
    """SIGTERM came, and nothing was under way, or it was not done at the end of the drain."""


def run(app: "App", words: list[str]) -> int:
    """Run one command and return the exit code."""
    from cyclopts import CycloptsError

    as_json = "--json" in words
    _open_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # a pipe that cannot hold every letter must not turn a paid picture into a crash
            stream.reconfigure(errors="backslashreplace")
    try:
        result = app(words)
        sys.stdout.flush()
    except CycloptsError as error:
        message = str(error)
        return _after(lambda: _usage(message, as_json=as_json), 2)
    except HeliographError as error:
        failed = error
        return _after(lambda: show_error(failed, as_json=as_json), failed.exit_code)
    except KeyboardInterrupt as error:
        interrupted = "Interrupted; what was finished is kept."
        code = TERMINATED if isinstance(error, Terminated) else INTERRUPTED
        return _after(lambda: print(interrupted, file=sys.stderr), code)
    except BrokenPipeError:
        # the reader has left (`| head`); what was done is done
        _give_up_writing()
        return 0
    except OSError as error:
        refusal = str(error)
        return _after(lambda: _unwritable(refusal), UNEXPECTED)
    except Exception:  # noqa: BLE001 - the last edge: a fault of ours must not look like the user's
        return _after(_fault, UNEXPECTED)
    return result if isinstance(result, int) else 0


def _unwritable(refusal: str) -> None:
    note(f"error: The output cannot be written ({refusal}).")
    note("hint: What was made is kept: `heliograph images list`.")


def _fault() -> None:
    traceback.print_exc()
    print(
        "error: This is a fault in Heliograph.\n"
        "hint: Paid images are kept: `heliograph images list`.",
        file=sys.stderr,
    )


def _after(tell: Callable[[], None], code: int) -> int:
    """Tell what went wrong, and return its exit code, also where nobody is there to be told."""
    try:
        tell()
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # the reader has left, or its disk is full
        _give_up_writing()
    return code


def _give_up_writing() -> None:
    """Let what is still unwritten go nowhere, or Python complains about it as it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with suppress(OSError, ValueError):  # a stream without a file of its own
                os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _open_closed() -> None:
    """A standard stream that is closed (`>&-`) takes what is written, and gives nothing."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115


def show_error(error: HeliographError, *, as_json: bool) -> None:
    """What happened, why, what to do, and whether it cost something."""
    if as_json:
        print_json({"error": error.as_dict()})
        return
    simulated = bool(error.facts.get("simulated"))
    for line in error_lines(error):
        note(line, simulated=simulated)


def error_lines(error: HeliographError) -> list[str]:
    """The error as `error:`, `cause:`, `hint:` and `charged:` lines."""
    lines = [f"error: {error.what}"]
    problems = error.facts.get("problems")
    if isinstance(problems, list):
        for problem in problems:
            lines.append(f"cause: {problem['field']} = {problem['value']!r}: {problem['message']}")
            if problem["nearest"]:
                lines.append(f"hint: valid and nearest: {', '.join(problem['nearest'])}")
    elif error.why:
        lines.append(f"cause: {error.why}")
    if error.remedy:
        lines.append(f"hint: {error.remedy}")
    lines.append(f"charged: {_charged(error)}")
    if error.facts.get("replayed"):
        lines.append("note: That is what this idempotency key got before; nothing was sent now.")
    if "not_written_down" in error.facts:
        lines.append(f"note: It is not written down yet: {error.facts['not_written_down']}")
    if error.record_id:
        lines.append(f"record: heliograph images show {error.record_id[:8]}")
    return lines


def _charged(error: HeliographError) -> str:
    from heliograph.money import dollars

    cost = error.facts.get("cost_micro")
    if isinstance(cost, int) and cost:
        return f"{error.charged.value} ({dollars(cost)})"
    most = error.facts.get("may_have_cost_micro")
    if isinstance(most, int):
        return f"{error.charged.value}, at most {dollars(most)}"
    return error.charged.value


def _usage(message: str, *, as_json: bool) -> None:
    hint = "See `heliograph --help`, or a command's --help."
    if "Unused Tokens" in message:
        hint = "Put a prompt of several words into quotes. " + hint
    if as_json:
        facts = {"code": "usage", "what": message, "remedy": hint, "charged": "no"}
        print_json({"error": facts})
        return
    print(f"error: {message}\nhint: {hint}", file=sys.stderr)
