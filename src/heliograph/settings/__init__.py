"""Settings and keys: read once, frozen, all mistakes reported together. Nothing else reads the
environment.

    load_settings  everything an operator can set (`model.py`), from all places (`gather.py`)
    find_keys      the keys that pay (`keys.py`), from wherever they lie (`places.py`)

Invariant: settings and keys are looked for in one documented order each, and whoever uses one can
say where it was found. Nothing here is ever written to a log, and no key to a file.
"""

from heliograph.settings.gather import (
    Setting,
    config_file,
    list_settings,
    load_settings,
    read_value,
    wrong_settings,
)
from heliograph.settings.keys import find_key, find_keys, search_keys
from heliograph.settings.model import PREFIX, Settings
from heliograph.settings.places import remove_key, store_key
from heliograph.settings.pool import KEY_NAMES, POOL_NAMES, Key, describe_keys

__all__ = [
    "KEY_NAMES",
    "POOL_NAMES",
    "PREFIX",
    "Key",
    "Setting",
    "Settings",
    "config_file",
    "describe_keys",
    "find_key",
    "find_keys",
    "list_settings",
    "load_settings",
    "read_value",
    "remove_key",
    "search_keys",
    "store_key",
    "wrong_settings",
]
