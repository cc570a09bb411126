"""`heliograph auth`: API keys in the system keyring.

Invariant: a key comes from a hidden prompt or from standard input, never from the arguments (every
user of a machine can read those), and at most its last four characters are shown.
"""

import sys
from getpass import getpass
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from heliograph.cli import examples
from heliograph.cli.ask import Flag
from heliograph.cli.screen import note, print_json, print_lines
from heliograph.errors import ConfigurationError, MissingKey
from heliograph.settings import (
    KEY_NAMES,
    POOL_NAMES,
    Key,
    load_settings,
    remove_key,
    search_keys,
    store_key,
)

app = App(
    name="auth",
    help="Keep an API key in the system keyring.",
    help_format="plaintext",
    help_epilogue=examples("heliograph auth set", "heliograph auth status"),
    result_action="return_value",
)

Name = Literal["GEMINI_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEYS", "GOOGLE_API_KEYS"]
SHOWN = 4  # last characters
LONG_ENOUGH = 16  # of anything shorter, four characters would give too much away
LONGEST = 65536  # characters; many keys, and still not a whole file that was piped by mistake


@app.command(
    name="set",
    help_epilogue=examples(
        "heliograph auth set",
        "heliograph auth set --name GOOGLE_API_KEY < key.txt",
        "heliograph auth set --name GEMINI_API_KEYS < keys.txt",
    ),
)
def set_(*, name: Name = "GEMINI_API_KEY") -> int:
    """Store a key in the system keyring; it is asked for, or read from standard input.

    Several keys are written as `label=KEY`, with commas or line breaks between them; keys with
    one label are of one project.

    Args:
        name: Which name it is stored under; those that end in KEYS hold several.
    """
    store_key(name, _ask(name))
    note(f"{name} is in the system keyring now.")
    first = next(search_keys(load_settings()))
    if first.origin != f"{name} in the keyring":
        note(f"But {first.origin} is found first and will be used.")
    return 0


@app.command(help_epilogue=examples("heliograph auth status", "heliograph auth status --json"))
def status(*, json: Annotated[Flag, Parameter()] = False) -> int:
    """Say which keys would be used and where they were found; only last characters are shown.

    Args:
        json: Print as JSON.
    """
    found = search_keys(load_settings())
    first = next(found, None)
    keys = [first] if first else []
    unread = None
    try:
        keys.extend(found)
    except ConfigurationError as error:
        unread = error.what
    used = [key for key in keys if key.origin == keys[0].origin]
    others = keys[len(used) :]
    if json:
        print_json(
            {
                "used": _facts(first) if first else None,
                "keys": [_facts(key) for key in used],
                "others": [_facts(key) for key in others],
                "note": (first.note if first else None) or unread,
            }
        )
        return 0 if used else MissingKey.exit_code
    if first is None:
        print_lines(["No key is stored anywhere; the local emulator is used."])
        note("hint: store one with `heliograph auth set`, or set GEMINI_API_KEY.")
        return MissingKey.exit_code
    print_lines(f"used: {key.project} from {key.origin}, {_ending(key)}" for key in used)
    print_lines(f"also: {key.project} from {key.origin}, {_ending(key)}" for key in others)
    for line in (first.note, unread):
        if line:
            note(line)
    return 0


@app.command(help_epilogue=examples("heliograph auth remove"))
def remove(*, name: Name | None = None) -> int:
    """Take the key out of the system keyring.

    Args:
        name: Only this name. Default: all.
    """
    removed = [n for n in ([name] if name else (*KEY_NAMES, *POOL_NAMES)) if remove_key(n)]
    if not removed:
        raise MissingKey(
            "There is no key of ours in the system keyring.",
            remedy="`heliograph auth status` says where keys are found.",
        )
    note(f"{' and '.join(removed)} removed from the system keyring.")
    return 0


def _ask(name: str) -> str:
    if sys.stdin.isatty():
        return getpass(f"{name} (hidden): ")
    text = sys.stdin.read(LONGEST + 1)
    if len(text) > LONGEST:
        # the rest would be cut off, perhaps in the middle of a key
        raise ConfigurationError(
            f"Standard input is longer than {LONGEST} characters.",
            remedy="Give it the key alone: heliograph auth set < key.txt",
        )
    return text


def _ending(key: Key) -> str:
    return f"ends in {key.secret[-SHOWN:]}" if len(key.secret) >= LONG_ENOUGH else "a short one"


def _facts(key: Key) -> dict[str, Any]:
    shown = key.secret[-SHOWN:] if len(key.secret) >= LONG_ENOUGH else None
    return {"project": key.project, "origin": key.origin, "last": shown}
