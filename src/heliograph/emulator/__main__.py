"""`python -m heliograph.emulator`; invariant: the first line on stdout says where it listens."""

import argparse
import contextlib
import ctypes
import os
import sys
import threading
import time
from pathlib import Path
from typing import Literal, NoReturn

from heliograph.emulator import EmulatorSettings, run
from heliograph.emulator.settings import StartError

_GRACE_SECONDS = 0.1
# Names of <malloc.h>.
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and serve."""
    options = _parser().parse_args(arguments)
    try:
        settings = EmulatorSettings(
            host=options.host,
            port=options.port,
            ledger=options.ledger,
            latency=options.latency,
            small=options.small,
            tiny=options.tiny,
            signatures=options.signatures,
            api_keys=tuple(options.api_key),
            rules=options.rules,
            quotas=options.quotas,
            tls=options.tls,
            enforce_signatures=not options.no_enforce_signatures,
            size_policy=options.size_policy,
            billing=options.billing,
            seed=options.seed,
            exit_with_stdin=options.exit_with_stdin,
        )
        return run(settings)
    except StartError as error:
        sys.stderr.write(f"heliograph.emulator: {error}\n")
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m heliograph.emulator",
        description="Serve the Gemini API on loopback, with simulated pictures and real bills.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="loopback address (default 127.0.0.1)")
    add("--port", type=int, default=0, help="0 takes a free port (default)")
    add("--ledger", type=Path, metavar="PATH", help="append-only JSONL file (default: memory)")
    add("--latency", type=_latency, default=0.0, metavar="SECONDS|realistic")
    add("--small", action="store_true", help="cheap plain pictures and short signatures")
    add("--tiny", action="store_true", help="64x64 pictures whatever is asked, for large runs")
    add("--signatures", choices=("realistic", "short"), help="length of thought signatures")
    add("--api-key", action="append", default=[], metavar="KEY", help="accept only these keys")
    add("--rules", type=Path, metavar="FILE.json", help="fault rules to start with")
    add("--quotas", type=Path, metavar="FILE.json", help="quotas and spend limits to start with")
    add("--tls", action="store_true", help="TLS ports too: good, expired, wrong_name, self_signed")
    add("--no-enforce-signatures", action="store_true", help="let unsigned model parts pass")
    add("--size-policy", choices=("strict", "silent"), default="strict")
    add(
        "--billing",
        choices=("on_complete", "on_accept", "on_first_byte"),
        default="on_complete",
    )
    add("--seed", type=int, help="same seed and same calls, same bytes")
    add("--exit-with-stdin", action="store_true", help="stop when standard input ends")
    return parser


def _latency(text: str) -> float | Literal["realistic"]:
    if text == "realistic":
        return "realistic"
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError("seconds of zero or more, or 'realistic'")
    return seconds


def _give_memory_back() -> None:
    """Let glibc return freed answers of 30 MB at once, instead of keeping them per thread."""
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 1024 * 1024)
        mallopt(_M_ARENA_MAX, 2)


def _leave(code: int) -> NoReturn:
    """End the process; a normal exit would first wait for the pictures being painted."""
    end = time.monotonic() + _GRACE_SECONDS
    workers = [t for t in threading.enumerate() if t is not threading.main_thread()]
    workers = [worker for worker in workers if not worker.daemon]
    for worker in workers:
        worker.join(max(0.0, end - time.monotonic()))
    if any(worker.is_alive() for worker in workers):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    _give_memory_back()
    _leave(main())
