"""The live line of a running call: what is happening, and how long that usually takes."""

import sys
import threading
import time
from types import TracebackType
from typing import Self

from heliograph.cli.screen import SIMULATED, note, size_text
from heliograph.client import Access
from heliograph.money import dollars
from heliograph.ports import Event
from heliograph.types import Plan

# seconds at 4K, measured on gemini-3-pro-image (gemini-api.md 6 and 13)
USUAL = "usually 20 to 60 s, up to 150 s"
TICK = 0.2


class Progress:
    """An observer that keeps one line up to date on a terminal, or writes a few plain lines."""

    def __init__(self, *, quiet: bool) -> None:
        self.sent = False
        self._quiet = quiet
        self._live = sys.stderr.isatty() and not quiet
        self._simulated = False
        self._begun = time.monotonic()
        self._text = ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, plan: Plan, access: Access) -> None:
        """Say what is about to happen and what it costs."""
        self._simulated = access.simulated
        target = str(plan.expected) if plan.expected else "ratio left to the model"
        size = " ".join(x for x in (plan.size, plan.aspect) if x)
        span = f"about {dollars(plan.estimate.expected)}, at most {dollars(plan.estimate.high)}"
        self._say(f"{plan.model} {size} ({target}), {span}")
        if access.simulated:
            self._say("No key is used: the local emulator draws this picture, nothing is charged.")
        else:
            self._say(f"Key: {access.key_origin}. {access.note or ''}".rstrip())
        for line in plan.notes:
            self._say(f"Note: {line}")

    def __call__(self, event: Event) -> None:
        if event.name == "sent":
            self.sent = True
            self._text = f"waiting for the picture ({USUAL})"
        elif event.name == "receiving":
            self._text = f"receiving, {size_text(int(event.facts['bytes']))}"
        elif event.name == "retrying":
            self.sent = False
            self._say(f"{event.facts['what']} Trying again in {event.facts['wait']:.1f} s.")
        elif event.name == "kept":
            self._text = "finishing files"

    def held_back(self) -> None:
        """Tell why Ctrl-C did not stop at once."""
        self._say("Already sent and to be paid for: waiting for it. Ctrl-C again gives it up.")

    def __enter__(self) -> Self:
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
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _say(self, line: str) -> None:
        if not self._quiet:
            if self._live:
                self._clear()
            note(line, simulated=self._simulated)

    def _draw(self) -> None:
        while not self._stop.wait(TICK):
            elapsed = time.monotonic() - self._begun
            prefix = SIMULATED if self._simulated else ""
            sys.stderr.write(f"\r\x1b[2K{prefix}{elapsed:5.1f} s  {self._text}")
            sys.stderr.flush()
        self._clear()

    def _clear(self) -> None:
        sys.stderr.write("\r\x1b[2K")
        sys.stderr.flush()
