"""The live line of running calls: what is happening, and how long that usually takes.

Invariant: times are measured, never invented; there is no percentage, because nobody knows it.
"""

import shutil
import sys
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from heliograph.cli.screen import SIMULATED, note, printable, size_text
from heliograph.cli.stages import SHORT, recovered_line, shared_line
from heliograph.money import dollars
from heliograph.ports import Event
from heliograph.types import Plan
from heliograph.upstream import Access

TICK = 0.2


class Progress:
    """An observer that keeps one line up to date on a terminal, or writes a few plain lines."""

    def __init__(self, *, quiet: bool, verbose: bool = False) -> None:
        self._quiet = quiet
        self._verbose = verbose and not quiet
        self._live = sys.stderr.isatty() and not quiet
        self._simulated = False
        self._usual = ""
        self._begun = time.monotonic()
        self._text = "starting"
        self.begun: set[str] = set()  # jobs, done or not
        self._sent: set[str] = set()
        self._late: set[str] = set()
        self.has_sent = False  # whether anything has left that may cost money
        self.given_up: list[Event] = []  # calls whose outcome nobody waited for
        self._waiting: set[str] = set()
        self._done = 0
        self._count = 1
        self._stop = threading.Event()
        self._line = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def sent(self) -> bool:
        """Whether a request that may cost money is on its way, and not late already.

        Who has been told that a picture is late, and stops it, needs no second warning.
        """
        return bool(self._sent - self._late)

    def start(self, plan: Plan, access: Access, usual: str | None, count: int = 1) -> None:
        """Say what is about to happen and what it costs."""
        self._simulated = access.simulated
        self._usual = f" ({usual})" if usual and not access.simulated else ""
        self._count = count
        target = str(plan.expected) if plan.expected else "ratio left to the model"
        size = " ".join(x for x in (plan.size, plan.aspect) if x)
        times = f"{count} times " if count > 1 else ""
        span = f"about {dollars(plan.estimate.expected)}, at most {dollars(plan.estimate.high)}"
        self.say(f"{plan.model} {size} ({target}), {times}{span}")
        if access.simulated:
            self.say("The local emulator draws this picture: no key is needed, nothing is charged.")
        else:
            self.say(f"Key: {access.key_origin}. {access.note or ''}".rstrip())
        for line in plan.notes:
            self.say(f"note: {line}")

    def __call__(self, event: Event) -> None:
        if self._verbose and event.name != "receiving":
            facts = " ".join(f"{name}={value}" for name, value in event.facts.items())
            self.say(f"{event.at:7.3f} s  {event.job[:8]} {event.name} {facts}")
        if event.name == "planned":
            self.begun.add(event.job)
        elif event.name == "sent":
            self.has_sent = True
            self._sent.add(event.job)
            self._late.discard(event.job)
        elif event.name == "late":
            self._late.add(event.job)
        elif event.name in ("retrying", "falling back", "given up", "kept"):
            self._sent.discard(event.job)
        if event.name == "kept":
            self._done += 1
        elif event.name == "given up":
            self.given_up.append(event)
        line = self._line_of(event)
        if line is not None:
            self.say(line)
        self._text = self._text_of(event) or self._text

    def _text_of(self, event: Event) -> str | None:
        """What the live line says from now on."""
        facts = event.facts
        match event.name:
            case "sent":
                return f"waiting for the picture{self._usual}"
            case "receiving":
                return f"receiving, {size_text(int(facts['bytes']))}"
            case "late":
                return "the picture is late; still listening"
            case "waiting":
                return "waiting for the spend limit"
            case "kept":
                return "finishing files"
        return None

    def _line_of(self, event: Event) -> str | None:
        """What is said of an event, once."""
        facts = event.facts
        match event.name:
            case "late":
                listening = f"{facts['listening_for_seconds']:g} s"
                return f"late; still listening for {listening}, Ctrl-C gives up"
            case "waiting":
                # it comes every few seconds, and an answer that is asked for again is no news
                if event.job in self._waiting or facts.get("for") != "spend limit":
                    return None
                self._waiting.add(event.job)
                return (
                    f"Project {facts['project']} may not spend more in these ten minutes "
                    "(spend_per_10_minutes): waiting."
                )
            case "retrying":
                return f"{facts.get('what', '')} {_next_try(facts)}".strip()
            case "falling back":
                return f"{facts['what']} Nothing was charged; asking {facts['model']} instead."
            case "recovered":
                return recovered_line(facts)
            case "shared":
                return shared_line(facts)
            case "given up":
                return _given_up(event)
        return None

    def held_back(self) -> None:
        """Tell why Ctrl-C did not stop at once; a quiet command, too, since it is about money."""
        waits = "Already sent and to be paid for: waiting for it"
        ends = ", and no other picture is begun" if self._count > 1 else ""
        self._write(f"{waits}{ends}. Ctrl-C again gives it up.")

    def say(self, line: str) -> None:
        """A line for the person watching."""
        if not self._quiet:
            self._write(line)

    def _write(self, line: str) -> None:
        with self._line:
            if self._live:
                sys.stderr.write("\r\x1b[2K")
            note(line, simulated=self._simulated)

    def result(self, line: str) -> None:
        """A line for standard output, never behind half a live line."""
        with self._line:
            if self._live:
                sys.stderr.write("\r\x1b[2K")
                sys.stderr.flush()
            print(printable(line), flush=True)

    def stop(self) -> None:
        """End the live line; calling it again does nothing."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> Self:
        self._begun = time.monotonic()
        if self._live:
            self._thread = threading.Thread(target=self._draw, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _draw(self) -> None:
        while not self._stop.wait(TICK):
            elapsed = time.monotonic() - self._begun
            prefix = SIMULATED if self._simulated else ""
            count = f"{self._done} of {self._count} done, " if self._count > 1 else ""
            with self._line:
                text = printable(f"{prefix}{elapsed:5.1f} s  {count}{self._text}")
                # a line that wraps could not be taken back
                text = text[: shutil.get_terminal_size().columns - 1]
                sys.stderr.write(f"\r\x1b[2K{text}")
                sys.stderr.flush()
        sys.stderr.write("\r\x1b[2K")
        sys.stderr.flush()


def _next_try(facts: Mapping[str, Any]) -> str:
    if facts.get("may_pay_twice"):
        return "Asking once more, as retry_unknown says; both may be charged."
    if not facts["wait"] and "project" in facts:
        return f"Trying project {facts['project']}."
    return f"Trying again in {facts['wait']:.1f} s."


def _given_up(event: Event) -> str:
    facts = event.facts
    said = "Given up."
    if "may_have_cost_micro" in facts:
        said = f"Given up. It may have cost up to {dollars(int(facts['may_have_cost_micro']))}"
    if "not_written_down" in facts:
        return f"{said}; it could not be written down yet ({facts['not_written_down']})"
    return f"{said}: heliograph calls show {event.job[:SHORT]}"
