"""The edge of the process: every error becomes words and an exit code here, nowhere else."""

import json
import sys
import traceback
from typing import TYPE_CHECKING

from heliograph.errors import HeliographError

if TYPE_CHECKING:
    from cyclopts import App

INTERRUPTED = 130
UNEXPECTED = 1


def run(app: "App", words: list[str]) -> int:
    """Run one command and return the exit code."""
    from cyclopts import CycloptsError

    as_json = "--json" in words
    try:
        result = app(words)
    except CycloptsError as error:
        _usage(str(error), as_json=as_json)
        return 2
    except HeliographError as error:
        show_error(error, as_json=as_json)
        return error.exit_code
    except KeyboardInterrupt:
        print("Interrupted; what was finished is kept.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # the reader has left (`| head`); what was done is done
        sys.stderr.close()
        return 0
    except Exception:  # noqa: BLE001 - the last edge: a fault of ours must not look like one of the user's
        traceback.print_exc()
        print(
            "This is a fault in Heliograph. Paid images are kept: `heliograph images list`.",
            file=sys.stderr,
        )
        return UNEXPECTED
    return result if isinstance(result, int) else 0


def show_error(error: HeliographError, *, as_json: bool) -> None:
    """What happened, why, what to do, and whether it cost something."""
    if as_json:
        print(json.dumps({"error": error.as_dict()}, ensure_ascii=False, indent=2))
        return
    problems = error.facts.get("problems")
    print(f"Error: {error.what}", file=sys.stderr)
    if isinstance(problems, list):
        for problem in problems:
            nearest = ", ".join(problem["nearest"])
            print(
                f"  {problem['field']} = {problem['value']!r}: {problem['message']}"
                + (f"\n    Nearest valid: {nearest}" if nearest else ""),
                file=sys.stderr,
            )
    elif error.why:
        print(f"  Why: {error.why}", file=sys.stderr)
    if error.remedy:
        print(f"  What to do: {error.remedy}", file=sys.stderr)
    print(f"  Charged: {_charged(error)}", file=sys.stderr)
    if error.record_id:
        print(f"  Record: heliograph images show {error.record_id[:8]}", file=sys.stderr)


def _charged(error: HeliographError) -> str:
    from heliograph.money import dollars

    cost = error.facts.get("cost_micro")
    if isinstance(cost, int) and cost:
        return f"{error.charged.value} ({dollars(cost)})"
    return error.charged.value


def _usage(message: str, *, as_json: bool) -> None:
    if as_json:
        facts = {"code": "usage", "what": message, "charged": "no", "retryable": False}
        print(json.dumps({"error": facts}, ensure_ascii=False, indent=2))
        return
    print(f"Error: {message}", file=sys.stderr)
    print("  What to do: see `heliograph --help` or the command's --help.", file=sys.stderr)
