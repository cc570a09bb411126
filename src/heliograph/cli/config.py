"""`heliograph config`: read and change settings.

Invariant: a value is valid before it is written, every other line of the file stays as it is, and
no key and no password is ever written or shown.
"""

import json as json_text
import os
import re
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from cyclopts import App, Parameter

from heliograph.cli import examples
from heliograph.cli.ask import Flag
from heliograph.cli.screen import note, print_json, print_lines, print_table
from heliograph.errors import ConfigurationError, InvalidRequest, Problem, StorageError
from heliograph.planning import catalogue, check
from heliograph.planning.findings import Findings
from heliograph.planning.nearest import names as nearest_names
from heliograph.planning.normalise import model as model_name
from heliograph.settings import (
    PREFIX,
    Key,
    Setting,
    Settings,
    config_file,
    describe_keys,
    find_keys,
    list_settings,
    load_settings,
    read_value,
    wrong_settings,
)
from heliograph.types import Request

app = App(
    name="config",
    help="Read and change settings.",
    help_format="plaintext",
    help_epilogue=examples("heliograph config get", "heliograph config set workers 4"),
    result_action="return_value",
)

HIDDEN = "…"
SECRET_PART = re.compile(r"(?i)((?:pass|pwd|secret|token|key|sig|credential)[\w-]*=)[^&;\s]+")
ABOUT_KEYS = "An API key does not belong into a file that is read, shown and copied."


@app.command(help_epilogue=examples("heliograph config path"))
def path() -> int:
    """Print where the configuration file is, or would be."""
    print_lines([str(config_file())])
    return 0


@app.command(help_epilogue=examples("heliograph config get", "heliograph config get home"))
def get(name: str | None = None, /, *, json: Annotated[Flag, Parameter()] = False) -> int:
    """Show every setting, its value and where it comes from; or the value of one.

    Args:
        name: Only this setting.
        json: Print as JSON.
    """
    settings, mistakes = list_settings()
    if name is not None:
        wanted = _setting(name)
        settings = tuple(s for s in settings if s.name == wanted)
        ours = re.compile(rf"(?:{PREFIX})?{wanted}\b", re.IGNORECASE)
        mistakes = tuple(m for m in mistakes if ours.match(m))
    keys = () if mistakes or name is not None else _several_keys()
    if json:
        rows = [{"name": s.name, "value": _plain(s.value), "origin": s.origin} for s in settings]
        of_keys = [{"project": key.project, "origin": key.origin} for key in keys]
        print_json({"settings": rows, "keys": of_keys, "mistakes": list(mistakes)})
    elif name is not None:
        print_lines([_shown(settings[0].value)])
        note(f"from {settings[0].origin}")
    else:
        print_table(["setting", "value", "from"], [_row(s) for s in settings])
        if keys:
            note(describe_keys(keys))
    if mistakes and not json:
        raise wrong_settings(mistakes)
    return ConfigurationError.exit_code if mistakes else 0


@app.command(
    name="set",
    help_epilogue=examples(
        "heliograph config set workers 4",
        "heliograph config set model gemini-nano-banana-2.1",
        "heliograph config set workers --unset",
    ),
)
def set_(
    name: str,
    value: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    /,
    *,
    unset: Annotated[Flag, Parameter()] = False,
) -> int:
    """Write a setting into the configuration file, or take it out again.

    Args:
        name: Setting, such as `workers`.
        value: What it shall be.
        unset: Remove it from the file instead.
    """
    wanted = _setting(name)
    if (value is None) != unset:
        message = "needs a value, or else --unset" if value is None else "has a value and --unset"
        raise InvalidRequest([Problem(field="config set", value=name, message=message)])
    if wanted == "config":
        raise InvalidRequest(
            [Problem(field="config", value=str(value), message=f"set {PREFIX}CONFIG instead")]
        )
    file = config_file().resolve()  # a link stays a link
    before = _read(file)
    if value is None:
        after = without(before, wanted)
    else:
        after = changed(before, wanted, _checked(wanted, value))
    _write(file, after)
    note(f"{wanted} {'removed from' if unset else 'written to'} {file}")
    return 0


def changed(text: str, name: str, value: Any) -> str:
    """The file's text with one setting changed or added; all other lines as they are.

    Raises:
        ConfigurationError: the file is written in a way that must be edited by hand.
    """
    expected = {**_parsed(text), name: value}
    setting = f"{name} = {_toml(value)}"
    lines = text.splitlines(keepends=True)
    places = [i for i, line in enumerate(lines) if _sets(line, name)]
    for place in places:
        comment = _comment(lines[place])
        lines[place] = f"{setting}{'  ' + comment if comment else ''}\n"
    if not places:
        if lines and not lines[-1].endswith("\n"):
            lines[-1] += "\n"
        lines.append(f"{setting}\n")
    return _same(expected, "".join(lines))


def without(text: str, name: str) -> str:
    """The file's text without one setting; all other lines as they are.

    Raises:
        ConfigurationError: the file is written in a way that must be edited by hand.
    """
    expected = {key: value for key, value in _parsed(text).items() if key != name}
    kept = [line for line in text.splitlines(keepends=True) if not _sets(line, name)]
    return _same(expected, "".join(kept))


def _several_keys() -> tuple[Key, ...]:
    """The keys that would be used, if there are several and they lie on this machine."""
    settings = load_settings()
    if settings.key_source:
        return ()  # no secret store is asked, perhaps over a network, to show settings
    try:
        keys = find_keys(settings)
    except ConfigurationError:
        return ()  # no setting is at fault; `heliograph doctor` says what is
    return keys if len(keys) > 1 else ()


def _setting(name: str) -> str:
    """The name as Settings has it."""
    plain = name.strip().lower().replace("-", "_").removeprefix(PREFIX.lower())
    if plain in Settings.model_fields:
        return plain
    if plain.endswith(("api_key", "api_keys")):
        raise ConfigurationError(
            f"{name} is no setting.",
            why=ABOUT_KEYS,
            remedy="Store it in the system keyring: heliograph auth set",
        )
    near = nearest_names(plain, list(Settings.model_fields))
    raise InvalidRequest(
        [Problem(field="setting", value=name, message="is not known", nearest=near[:3])],
        remedy="`heliograph config get` lists all settings.",
    )


def _checked(name: str, text: str) -> Any:
    """The value as it is to be written; paths no longer depend on where one stands."""
    value = read_value(name, text)
    if isinstance(value, Path) and not text.strip():
        # without this it would be the folder one stands in
        message = f"names no place; to take it out: heliograph config set {name} --unset"
        raise InvalidRequest([Problem(field=name, value=text, message=message)])
    if name == "model":
        _refuse_unknown_model(text)
    return str(value.absolute()) if isinstance(value, Path) else value


def _refuse_unknown_model(text: str) -> None:
    facts, found = catalogue(), Findings(Request(prompt="", model=text))
    check.model(model_name(text), facts, found, next(iter(facts.models)))
    found.raise_problems()


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise _refused(file, error) from error


def _write(file: Path, text: str) -> None:
    """All or nothing, for the owner only."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            Path(aside).replace(file)
        finally:
            Path(aside).unlink(missing_ok=True)
    except OSError as error:
        raise _refused(file, error) from error


def _refused(file: Path, error: Exception) -> StorageError:
    return StorageError(
        f"{file} cannot be read or written.",
        why=str(error),
        remedy="Check the folder's permissions, or name another file with HELIOGRAPH_CONFIG.",
    )


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _by_hand(str(error)) from error


def _same(expected: dict[str, Any], text: str) -> str:
    """The text, if it says exactly what it should."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _by_hand(str(error)) from error
    if found != expected:
        raise _by_hand("It holds tables or values of several lines.")
    return text


def _by_hand(why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{config_file()} must be edited by hand; it was not changed.",
        why=why,
        remedy="Write one `name = value` a line.",
    )


def _sets(line: str, name: str) -> bool:
    return re.match(rf"""\s*["']?{re.escape(name)}["']?\s*=""", line) is not None


def _comment(line: str) -> str:
    """The comment at the end of a `name = value` line."""
    for found in re.finditer("#", line):
        try:
            tomllib.loads(line[: found.start()])
        except tomllib.TOMLDecodeError:
            continue  # this one stands inside a string
        return line[found.start() :].rstrip()
    return ""


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    # a JSON string is a TOML string, but for one character that JSON leaves bare
    text = json_text.dumps(value, ensure_ascii=False)
    return text.replace("\x7f", "\\u007f")


def _row(setting: Setting) -> list[str]:
    return [setting.name, _shown(setting.value), setting.origin]


def _shown(value: Any) -> str:
    plain = _plain(value)
    if isinstance(plain, bool):
        return str(plain).lower()
    return "" if plain is None else str(plain)


def _plain(value: Any) -> Any:
    """JSON-ready, and without the passwords that addresses can hold."""
    if isinstance(value, bool | int | float) or value is None:
        return value
    return "".join(_without_password(str(value)))


def _without_password(text: str) -> Iterator[str]:
    try:
        password = urlsplit(text).password if "://" in text else None
    except ValueError:
        password = None
    head, at, rest = text.rpartition("@") if password else ("", "", text)
    if password:
        yield head.removesuffix(password) + HIDDEN + at
    yield SECRET_PART.sub(rf"\1{HIDDEN}", rest)
