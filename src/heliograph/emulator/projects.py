"""What is special about single projects; invariant: what is not said of one is as the settings say.

One emulator serves many tests at a time, each with a project of its own (`emu-project-NAME`).
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from heliograph.emulator.envelope import misused
from heliograph.emulator.settings import Billing, EmulatorSettings

Latency = float | Literal["realistic"]

_LONGEST = 86_400


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How one project is served; None means as the settings say."""

    billing: Billing | None = None
    latency: Latency | None = None
    """The model's time in place of the settings' one."""
    slow: float | None = None
    """Seconds that every call takes on top of the model's time."""


class Projects:
    """The projects with habits of their own."""

    def __init__(self, settings: EmulatorSettings) -> None:
        self._settings = settings
        self._habits: dict[str, Habits] = {}

    def take(self, document: Any) -> None:
        """Take one project's habits, or a list; what is named changes, null takes it back."""
        read = [_read(entry) for entry in entries(document)]
        for project, changes in read:
            self._habits[project] = dataclasses.replace(self._of(project), **changes)

    def show(self) -> list[dict[str, Any]]:
        """The habits as they stand."""
        return [
            {"project": project, **dataclasses.asdict(habits)}
            for project, habits in sorted(self._habits.items())
        ]

    def clear(self) -> None:
        """Every project as the settings say."""
        self._habits.clear()

    def billing(self, project: str) -> Billing:
        """When this project's calls become bills."""
        return self._of(project).billing or self._settings.billing

    def latency(self, project: str) -> Latency:
        """The model's time for this project."""
        own = self._of(project).latency
        return self._settings.latency if own is None else own

    def slow(self, project: str) -> float:
        """Seconds on top of it."""
        return self._of(project).slow or 0.0

    def _of(self, project: str) -> Habits:
        return self._habits.get(project, Habits())


def entries(document: Any) -> list[dict[str, Any]]:
    """The objects of a control request: one, or a list of them."""
    found = document if isinstance(document, list) else [document]
    if not all(isinstance(entry, dict) for entry in found):
        raise misused("The body is an object or a list of objects.")
    return found


def number(entry: Mapping[str, Any], name: str, most: float) -> Any:
    """A number from 0 to `most` of a control request."""
    value = entry.get(name, 0)
    # True and False are numbers to Python.
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= most:
        raise misused(f"{name} is a number from 0 to {most:g}.")
    return value


def _read(entry: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    project = entry.get("project")
    if not isinstance(project, str) or not project:
        raise misused("project is the name of a project.")
    unknown = set(entry) - {"project", "billing", "latency", "slow"}
    if unknown:
        raise misused(f"Unknown of a project: {', '.join(sorted(unknown))!a}.")
    changes = {name: entry[name] for name in ("billing", "latency", "slow") if name in entry}
    if changes.get("billing") not in (None, *get_args(Billing)):
        raise misused(f"billing is one of {', '.join(get_args(Billing))}.")
    if changes.get("latency") not in (None, "realistic"):
        number(entry, "latency", _LONGEST)
    if changes.get("slow") is not None:
        number(entry, "slow", _LONGEST)
    return project, changes
