"""Finds the keys that pay.

Invariant: one documented order of places; the first place that has any key is the only one whose
keys are used.
"""

from collections.abc import Iterator

from heliograph.errors import ConfigurationError, MissingKey
from heliograph.settings.model import Settings
from heliograph.settings.places import places
from heliograph.settings.pool import NAMES, REMEDY, Key, read_key, read_place

REMEDY_FOR_KEY = (
    "Set GEMINI_API_KEY (or put it into .env), store one with `heliograph auth set`, or add "
    "--simulate (library: simulate=True) to use the local emulator at no cost."
)


def find_keys(settings: Settings, *, given: str | None = None) -> tuple[Key, ...]:
    """The API keys of the first place that has any, in the order in which they stand there.

    Order: an argument, `key_source`, the environment (also `…_FILE`), `.env`, the secrets folder,
    the system keyring (with the `keyring` extra installed). Where a place has both a variable for
    several keys and one for a single key, the former counts.

    Args:
        given: one key, which overrides every place.

    Raises:
        MissingKey: none of these has one.
        ConfigurationError: `key_source` is misspelt or its extra is not installed, a place cannot
            be read, or what it holds cannot be keys; lists every wrong entry, and no key.
    """
    if given:
        return (read_key(given, "the argument"),)
    for keys in _places_with_keys(settings):
        return keys
    raise MissingKey(
        "There is no API key.",
        why="GEMINI_API_KEY and GOOGLE_API_KEY are set neither in the environment, in .env, in "
        f"{settings.secrets_dir}, nor in the keyring.",
        remedy=REMEDY_FOR_KEY,
    )


def find_key(settings: Settings, *, given: str | None = None) -> Key:
    """The first of the keys that `find_keys` finds.

    Raises:
        MissingKey: there is none.
        ConfigurationError: as `find_keys`.
    """
    return find_keys(settings, given=given)[0]


def search_keys(settings: Settings) -> Iterator[Key]:
    """The keys of every place that has any, in order; those with the first's origin are used.

    Raises:
        ConfigurationError: a place cannot be read, or what it holds cannot be keys.
    """
    for keys in _places_with_keys(settings):
        yield from keys


def _places_with_keys(settings: Settings) -> Iterator[tuple[Key, ...]]:
    for place, read in places(settings):
        found: dict[str, str] = {}
        for name, value in read().items():
            if name not in NAMES or value is None:
                continue
            if not isinstance(value, str):  # a secret store can answer with any JSON
                raise ConfigurationError(f"{name} in {place} is no text.", remedy=REMEDY)
            if value.strip():
                found[name] = value
        if found:
            yield read_place(found, place)
