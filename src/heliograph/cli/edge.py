"""The edge of the process: every error becomes words and an exit code here, nowhere else."""

import io
import os
import sys
import traceback
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
        _usage(str(error), as_json=as_json)
        return 2
    except HeliographError as error:
        show_error(error, as_json=as_json)
        return error.exit_code
    except KeyboardInterrupt as error:
        print("Interrupted; what was finished is kept.", file=sys.stderr)
        return TERMINATED if isinstance(error, Terminated) else INTERRUPTED
    except BrokenPipeError:
        # the reader has left (`| head`); what was done is done
        sys.stderr.close()
        return 0
    except OSError as error:
        note(f"error: The output cannot be written ({error}).")
        note("hint: What was made is kept: `heliograph images list`.")
        return UNEXPECTED
    except Exception:  # noqa: BLE001 - the last edge: a fault of ours must not look like the user's
        traceback.print_exc()
        print(
            "error: This is a fault in Heliograph.\n"
            "hint: Paid images are kept: `heliograph images list`.",
            file=sys.stderr,
        )
        return UNEXPECTED
    return result if isinstance(result, int) else 0


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
