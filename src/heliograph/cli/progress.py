"""The live line of running calls: what is happening, and how long that usually takes.

Invariant: times are measured, never invented; there is no percentage, because nobody knows it.
"""

import sys
import threading
import time
from types import TracebackType
from typing import Self

from heliograph.cli.screen import SIMULATED, note, printable, size_text
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
        self._sent: set[str] = set()
        self._done = 0
        self._count = 1
        self._stop = threading.Event()
        self._line = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def sent(self) -> bool:
        """Whether a request that may cost money is on its way."""
        return bool(self._sent)

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
        if event.name == "sent":
            self._sent.add(event.job)
            self._text = f"waiting for the picture{self._usual}"
        elif event.name == "receiving":
            self._text = f"receiving, {size_text(int(event.facts['bytes']))}"
        elif event.name == "retrying":
            self._sent.discard(event.job)
            self.say(f"{event.facts['what']} Trying again in {event.facts['wait']:.1f} s.")
        elif event.name == "given up":
            self._sent.discard(event.job)
            most = dollars(int(event.facts["may_have_cost_micro"]))
            record = event.facts.get("record")
            where = (
                f"heliograph images show {str(record)[:8]}"
                if record
                else f"it could not be written down ({event.facts['not_written_down']})"
            )
            self.say(f"Given up. It may have cost up to {most}: {where}")
        elif event.name == "kept":
            self._sent.discard(event.job)
            self._done += 1
            self._text = "finishing files"

    def held_back(self) -> None:
        """Tell why Ctrl-C did not stop at once."""
        self.say("Already sent and to be paid for: waiting for it. Ctrl-C again gives it up.")

    def say(self, line: str) -> None:
        """A line for the person watching."""
        if self._quiet:
            return
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
                sys.stderr.write(f"\r\x1b[2K{text}")
                sys.stderr.flush()
        sys.stderr.write("\r\x1b[2K")
        sys.stderr.flush()
