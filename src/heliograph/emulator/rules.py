"""Which fault strikes a call; invariant: header before tag before rules, and the first match wins.

Counting is by rule, and for a tag with `*N` by the exact prompt that carries it, so that "once and
then fine" needs no clean-up. Chance comes from a rule's own seed: same calls, same faults. A rule
that sleeps, by `every` or after `for_seconds`, is as good as absent.
"""

import fnmatch
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from heliograph.emulator.envelope import ApiError, misused
from heliograph.emulator.faults import FAULTS
from heliograph.emulator.faults.contract import Case, Delivery, Fault
from heliograph.emulator.faults.names import resolve, written
from heliograph.emulator.keys import key_hash

HEADER = "x-emu-fault"

_TAG_OPENING = "[[fault:"
_TAG = re.compile(r"\[\[fault:([a-z0-9_-]+)(?::([^\]*]*)|\(([^\]*()]*)\))?(?:\*(\d{1,9}))?\]\]")
_MATCHES = ("method", "path", "model", "project", "key", "prompt_contains")
_RULE_FIELDS = ("match", "nth", "count", "prob", "seed", "action", "args", "every", "for_seconds")
_EVERY_FIELDS = ("seconds", "of", "phase")
_EVER = 10**12


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What can be known of a call when a fault is chosen."""

    verb: str
    method: str
    path: str
    model: str = ""
    project: str = ""
    key_hash: str = ""
    prompt: str = ""
    header: str = ""
    small: bool = False
    """Whether the call makes no picture, so that most faults have nothing to strike."""


@dataclass(frozen=True, kw_only=True)
class Strike:
    """A chosen fault with its argument."""

    fault: Fault
    arg: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def case(self, model: str) -> Case:
        """The fault applied to one call."""
        return Case(name=self.fault.name, arg=self.arg, options=self.options, model=model)

    def strikes_small_calls(self, model: str) -> bool:
        """Whether it can strike a call that makes no picture: errors, resets, fixed answers."""
        if self.fault.error is not None:
            return True
        make = self.fault.delivery
        delivery = Delivery() if make is None else make(self.case(model))
        return bool(delivery.reset) or delivery.canned is not None

    def aims_at(self, project: str) -> bool:
        """Whether the project is the one that the argument names, where it names one."""
        aim = self.arg.partition(":")[0] if self.fault.names_project else ""
        return aim in ("", project)

    def __str__(self) -> str:
        return f"{self.fault.name}:{self.arg}" if self.arg else self.fault.name


@dataclass(frozen=True, kw_only=True)
class Shift:
    """When a rule is awake: the first seconds of every so many, from a phase on; or to an end."""

    added: float
    seconds: float = 1
    of: float = 1
    phase: float = 0
    for_seconds: float = float("inf")

    def awake(self, now: float) -> bool:
        """Whether the rule is there now; while it sleeps, it meets and counts nothing."""
        age = now - self.added
        return age < self.for_seconds and (age - self.phase) % self.of < self.seconds


@dataclass(kw_only=True)
class Rule:
    """One standing rule and how often its match was met."""

    source: dict[str, Any]
    strike: Strike
    chance: Random
    shift: Shift
    met: int = 0

    @property
    def early(self) -> bool:
        """Whether it can be judged, and must act, before the body is read."""
        needs_body = "prompt_contains" in self.source.get("match", {})
        return self.strike.fault.early and not needs_body

    def strikes(self, sight: Sight, now: float) -> bool:
        """Count a match and say whether the rule fires on it."""
        if not self.shift.awake(now) or not self.strike.aims_at(sight.project):
            return False
        if not _matches(self.source.get("match", {}), sight):
            return False
        if sight.small and not self.strike.strikes_small_calls(sight.model):
            return False
        self.met += 1
        if "nth" in self.source and self.met != self.source["nth"]:
            return False
        if "count" in self.source and self.met > self.source["count"]:
            return False
        return "prob" not in self.source or self.chance.random() < self.source["prob"]


class Rulebook:
    """The standing rules and the counts behind them."""

    def __init__(self, seed: int, now: Callable[[], float] = time.time) -> None:
        self._seed = seed
        self._now = now
        self._rules: list[Rule] = []
        self._tags: Counter[str] = Counter()

    def add(self, document: Any) -> None:
        """Append a rule, or a list of rules, from JSON."""
        sources = document if isinstance(document, list) else [document]
        new = [self._read(source, number) for number, source in enumerate(sources)]
        self._rules += new

    def clear(self) -> None:
        """Drop every rule and every count."""
        self._rules.clear()
        self._tags.clear()

    def show(self) -> list[dict[str, Any]]:
        """The rules as given, with how often each was met."""
        return [{**rule.source, "met": rule.met} for rule in self._rules]

    def pick(self, sight: Sight) -> Strike | None:
        """The fault for this call, if any."""
        if sight.header:
            strike = read_strike(*written(sight.header))
            return strike if strike.aims_at(sight.project) else None
        return self._tagged(sight) or self._ruled(sight)

    def before_body(self, sight: Sight) -> Strike | None:
        """A reset that needs no body to be chosen; other faults wait for the body."""
        if sight.header:
            strike = read_strike(*written(sight.header))
            return strike if strike.fault.early else None
        return self._ruled(sight, early=True)

    def _tagged(self, sight: Sight) -> Strike | None:
        tags = _TAG.findall(sight.prompt)
        if len(tags) != sight.prompt.count(_TAG_OPENING):
            raise misused(
                "A fault tag reads [[fault:NAME]], [[fault:NAME:ARG]] or [[fault:NAME*N]]."
            )
        for name, after_colon, in_brackets, times in tags:
            strike = read_strike(name, after_colon or in_brackets.strip())
            if not strike.aims_at(sight.project):
                continue
            if times:
                key = f"{strike}:{times}:{sight.prompt}"
                self._tags[key] += 1
                if self._tags[key] > int(times):
                    continue
            return strike
        return None

    def _ruled(self, sight: Sight, *, early: bool = False) -> Strike | None:
        now = self._now()
        rules = (rule for rule in self._rules if rule.early is early)
        return next((rule.strike for rule in rules if rule.strikes(sight, now)), None)

    def _read(self, source: Any, number: int) -> Rule:
        if not isinstance(source, dict) or "action" not in source:
            raise misused("A rule is an object with at least an action.")
        unknown = set(source) - set(_RULE_FIELDS)
        match = source.get("match", {})
        if not isinstance(match, dict) or not all(isinstance(each, str) for each in match.values()):
            raise misused("match in a rule is an object of strings.")
        unknown |= set(match) - set(_MATCHES)
        if unknown:
            raise misused(f"Unknown in a rule: {', '.join(sorted(unknown))!a}.")
        for name in ("nth", "count"):
            if type(source.get(name, 1)) is not int or source.get(name, 1) < 1:
                raise misused(f"{name} in a rule is a whole number from 1.")
        if not isinstance(source.get("prob", 0), int | float):
            raise misused("prob in a rule is a number from 0 to 1.")
        if not isinstance(source.get("seed", 0), int | float | str):
            raise misused("seed in a rule is a number or a text.")
        args = source.get("args", "")
        options = args if isinstance(args, dict) else {}
        arg = "" if isinstance(args, dict) else str(args)
        chance = Random(source.get("seed", f"{self._seed}:{len(self._rules) + number}"))  # noqa: S311
        name, inner = written(str(source["action"]))
        strike = read_strike(name, arg or inner, options)
        return Rule(
            source=source, strike=strike, chance=chance, shift=_read_shift(source, self._now())
        )


def read_strike(name: str, arg: str = "", options: Mapping[str, Any] | None = None) -> Strike:
    """A fault by any of its names, or a 400 that lists where to look."""
    real, rest = resolve(name, arg)
    if real not in FAULTS:
        raise _unknown(name)
    return Strike(fault=FAULTS[real], arg=rest, options=options or {})


def without_tags(prompt: str) -> str:
    """The prompt as it is drawn."""
    return _TAG.sub("", prompt).strip()


def _unknown(name: str) -> ApiError:
    return misused(f"Unknown fault {name[:64]!a}; GET /_emulator/faults lists them.")


def _read_shift(source: Mapping[str, Any], added: float) -> Shift:
    every = source.get("every", {})
    if not isinstance(every, dict) or set(every) - set(_EVERY_FIELDS):
        raise misused('every in a rule is an object of "seconds", "of" and "phase".')
    times = {**every, **{name: source[name] for name in ("for_seconds",) if name in source}}
    for name, value in times.items():
        # True and False are numbers to Python.
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _EVER:
            raise misused(f"{name} in a rule is a number of seconds.")
    if "every" in source and not 0 < every.get("seconds", 0) <= every.get("of", 0):
        raise misused("every in a rule says how many seconds, above 0, of how many.")
    return Shift(added=added, **times)


def _matches(match: Mapping[str, str], sight: Sight) -> bool:
    return all(_meets(name, wanted, sight) for name, wanted in match.items())


def _meets(name: str, wanted: str, sight: Sight) -> bool:
    if name == "method":
        return wanted in (sight.verb, sight.method)
    if name == "path":
        return fnmatch.fnmatchcase(sight.path, wanted)
    if name == "key":
        return sight.key_hash in (wanted, key_hash(wanted))
    if name == "prompt_contains":
        return wanted in sight.prompt
    return bool(wanted == getattr(sight, name))
