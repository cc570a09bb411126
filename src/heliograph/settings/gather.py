"""Gathers the settings from all places and reports every mistake at once.

Invariant: an argument wins over the environment, that over `.env`, that over the configuration
file; whoever shows a setting can say which of these it came from.
"""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_config_path
from pydantic import ValidationError
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from heliograph.errors import ConfigurationError
from heliograph.settings.model import PREFIX, Settings
from heliograph.settings.pool import NAMES


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting as it stands, and where it comes from."""

    name: str
    value: Any
    origin: str  # "default", "the environment", ".env", or the path of the configuration file


def load_settings(**overrides: Any) -> Settings:
    """Read the settings: arguments win over the environment, that over `.env`, that over the
    configuration file; None means not given.

    Raises:
        ConfigurationError: lists every mistake, unknown names included.
    """
    settings, _, mistakes = _gather(overrides)
    if mistakes:
        raise wrong_settings(mistakes)
    return settings


def list_settings() -> tuple[tuple[Setting, ...], tuple[str, ...]]:
    """Every setting with its origin, and every mistake; a wrong value is shown as it was read."""
    settings, given, mistakes = _gather({})
    listed = []
    for name in Settings.model_fields:
        raw, origin = given.get(name, (None, "default"))
        right = origin == "default" or name in settings.model_fields_set
        value = getattr(settings, name) if right else raw
        listed.append(Setting(name=name, value=value, origin=origin))
    return tuple(listed), tuple(mistakes)


def read_value(name: str, text: str) -> Any:
    """What a setting would be, read from text.

    Raises:
        ConfigurationError: it has no such value.
    """
    given: dict[str, Any] = {name: text}
    try:
        return getattr(Settings(**given), name)
    except ValidationError as error:
        raise wrong_settings([f"{name}: {why}" for _, why in _reasons(error)]) from error


def config_file() -> Path:
    """The configuration file, whether it exists or not."""
    return _config_file({})[0]


def wrong_settings(mistakes: Sequence[str]) -> ConfigurationError:
    """The error that lists all mistakes."""
    return ConfigurationError(
        f"The settings have {len(mistakes)} mistake{'s' if len(mistakes) != 1 else ''}.",
        why="; ".join(mistakes),
        remedy="`heliograph config get` shows every setting and where it comes from.",
        facts={"mistakes": list(mistakes)},
    )


Given = dict[str, tuple[Any, str]]  # value and origin by the setting's name


def _gather(overrides: Mapping[str, Any]) -> tuple[Settings, Given, list[str]]:
    """Settings without those that are wrong, everything that was given, and every mistake."""
    mistakes = list(_unknown_variables())
    path, must_exist = _config_file(overrides)
    from_file, unread = _read_config(path, must_exist=must_exist)
    mistakes += unread
    given: Given = {name: (value, str(path)) for name, value in from_file.items()}
    for origin, values in _variables().items():
        given |= {name: (value, origin) for name, value in values.items()}
    arguments = {name: value for name, value in overrides.items() if value is not None}
    given |= {name: (value, "an argument") for name, value in arguments.items()}
    good = {name: value for name, (value, _) in given.items()}
    while True:
        try:
            return Settings(**good), given, mistakes
        except ValidationError as error:
            for name, reason in _reasons(error):
                del good[name]
                mistakes.append(f"{_spelled(name, given[name][1])}: {reason}")


def _variables() -> dict[str, dict[str, Any]]:
    """What the places with variables say, the weakest first."""
    dotenv = DotEnvSettingsSource(Settings, env_file=".env", env_ignore_empty=True)
    environment = EnvSettingsSource(Settings, env_ignore_empty=True)
    return {".env": _by_field(dotenv()), "the environment": _by_field(environment())}


def _by_field(values: Mapping[str, Any]) -> dict[str, Any]:
    found = {_field_of(name): value for name, value in values.items()}
    return {name: value for name, value in found.items() if name in Settings.model_fields}


def _field_of(name: str) -> str:
    """A setting's name from how a variable is spelled."""
    lower = name.lower()
    for field_name, info in Settings.model_fields.items():
        other_names = getattr(info.validation_alias, "choices", ())
        if lower in (field_name, *(str(other).lower() for other in other_names)):
            return field_name
    return lower.removeprefix(PREFIX.lower())


def _config_file(overrides: Mapping[str, Any]) -> tuple[Path, bool]:
    """The configuration file, and whether somebody named it, so that it must be there."""
    named = overrides.get("config")
    for values in reversed(_variables().values()):
        named = named or values.get("config")
    if named:
        return Path(named).expanduser(), True
    return user_config_path("heliograph", appauthor=False) / "config.toml", False


def _read_config(path: Path, *, must_exist: bool) -> tuple[dict[str, Any], list[str]]:
    """What the configuration file says, and what is wrong with it."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, [f"{PREFIX}CONFIG: there is no file {path}"] if must_exist else []
    except (OSError, ValueError) as error:
        return {}, [f"{path} cannot be read: {error}"]
    known = set(Settings.model_fields) - {"config"}
    mistakes = []
    for name in values:
        if name.upper().removeprefix(PREFIX) in NAMES:
            mistakes.append(f"{name} in {path}: keys do not belong here; use `heliograph auth set`")
        elif name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            mistakes.append(f"{name} in {path} is not a setting{hint}")
    return {name: value for name, value in values.items() if name in known}, mistakes


def _unknown_variables() -> Iterator[str]:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and os.environ[name] and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield f"{name} is not a setting{hint}"


def _spelled(name: str, origin: str) -> str:
    """A setting as it is spelled where it comes from."""
    if origin in ("the environment", ".env"):
        return f"{PREFIX}{name.upper()}" + (f" in {origin}" if origin == ".env" else "")
    return f"{name} in {origin}" if origin != "an argument" else f"{PREFIX}{name.upper()}"


def _reasons(error: ValidationError) -> Iterator[tuple[str, str]]:
    """Name and reason of each wrong setting."""
    for found in error.errors():
        message = found["msg"].removeprefix("Value error, ")
        yield _field_of(str(found["loc"][0])), f"{message[:1].lower()}{message[1:]}"
