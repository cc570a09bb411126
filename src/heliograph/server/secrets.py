"""The gateway's own secrets: made at the first start, read at every other, one for each use.

    pepper     32 bytes, 64 hexadecimal digits; without it no kept key digest can be checked
    signing    two lines "ID 64-digits", the first one signs, both are accepted: `turn_signing`
    webhooks   32 bytes; the root of what signs messages to webhooks

Invariant: no secret serves two uses, and none that is short, guessable or readable by others is
ever used; what is made is on the disk before it is (reliability.md section 8, S14).
"""

import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from heliograph.durable import flush_folder
from heliograph.errors import ConfigurationError
from heliograph.ports import Accounts
from heliograph.settings import Settings

if sys.platform != "win32":
    import fcntl

LENGTH = 32  # bytes of one secret
VARIETY = 12  # different bytes at least; 32 random ones have fewer once in 10**20
ACTIVE = 2  # signing keys that are accepted
OTHERS = stat.S_IRWXG | stat.S_IRWXO
PEPPER, SIGNING, WEBHOOKS = "pepper", "signing", "webhooks"
NAMES = (PEPPER, SIGNING, WEBHOOKS)


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """The secrets of one gateway; none is shown by `repr`."""

    pepper: bytes = field(repr=False)  # for `accounts.digest`
    signing: tuple[tuple[str, bytes], ...] = field(repr=False)  # (id, key); the first one signs
    webhooks: bytes = field(repr=False)

    def texts(self) -> tuple[str, ...]:
        """All of them as they stand in the files, for whoever hides secrets in logs."""
        every = (self.pepper, self.webhooks, *(key for _, key in self.signing))
        return tuple(secret.hex() for secret in every)


def open_secrets(folder: Path) -> Secrets:
    """The secrets in a folder, made now if none of them is there.

    Raises:
        ConfigurationError: one is missing, empty, short, guessable, used twice, or readable by
            others; or the folder cannot be used.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_open(folder)
        with alone(folder):
            _make_or_finish(folder)
            found = Secrets(
                pepper=_secret(folder / PEPPER, _text(folder / PEPPER)),
                signing=_signing(folder / SIGNING),
                webhooks=_secret(folder / WEBHOOKS, _text(folder / WEBHOOKS)),
            )
    except OSError as error:
        raise ConfigurationError(
            f"The folder of the gateway's secrets cannot be used: {error.strerror}.",
            why=f"It is `{folder}`.",
            remedy="Give it to the user that runs the gateway, or set `server_secrets`.",
        ) from error
    if len(set(found.texts())) < len(found.texts()):
        raise _wrong(folder, "holds one secret twice", "Each use needs a secret of its own")
    return found


def holds_none(folder: Path) -> bool:
    """Whether none is there, so that `open_secrets` makes new ones."""
    return not any((folder / name).exists() for name in NAMES)


async def open_beside_keys(
    accounts: Accounts, folder: Path, *, warn: Callable[[str], None]
) -> Secrets:
    """As `open_secrets`; warns when secrets are made of which no key that is there knows.

    Raises:
        ConfigurationError: as `open_secrets`.
        StorageError: the database refuses.
    """
    now = datetime.now(UTC)
    made = holds_none(folder)
    lost = [key for key in await accounts.keys() if key.is_good(now)] if made else []
    found = open_secrets(folder)
    if lost:
        warn(
            f"The gateway's secrets were not in {folder}, and new ones are made; keys made with "
            f"the old ones get 401: {len(lost)}. Stop, and put your copy of the old secrets in "
            "their place, or make these keys anew."
        )
    return found


def turn_signing(folder: Path) -> Secrets:
    """Put a new signing key before the present one; links of the one before that end.

    Raises:
        ConfigurationError: as `open_secrets`.
    """
    open_secrets(folder)
    with alone(folder):
        now = _signing(folder / SIGNING)
        _write(folder, {SIGNING: _lines(_signing_key(), *now[: ACTIVE - 1])})
    return open_secrets(folder)


def _make_or_finish(folder: Path) -> None:
    missing = [name for name in NAMES if not (folder / name).exists()]
    if len(missing) == len(NAMES):
        _make(folder)
    # the first start was stopped while it gave the files, whole by then, their names
    for name in missing:
        with suppress(FileNotFoundError):
            (folder / f"{name}.new").rename(folder / name)


def _make(folder: Path) -> None:
    made = {SIGNING: _lines(*(_signing_key() for _ in range(ACTIVE)))}
    made |= {name: secrets.token_hex(LENGTH) + "\n" for name in (PEPPER, WEBHOOKS)}
    _write(folder, made)


def _signing_key() -> tuple[str, bytes]:
    return secrets.token_hex(4), secrets.token_bytes(LENGTH)


def _lines(*keys: tuple[str, bytes]) -> str:
    return "".join(f"{name} {key.hex()}\n" for name, key in keys)


def _write(folder: Path, contents: Mapping[str, str]) -> None:
    """Each file is whole or not there, and they are durable when this returns."""
    for name, text in contents.items():
        new = folder / f"{name}.new"
        new.unlink(missing_ok=True)
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(file, text.encode())
            os.fsync(file)
        finally:
            os.close(file)
    for name in contents:
        (folder / f"{name}.new").rename(folder / name)
    flush_folder(folder)


def _signing(file: Path) -> tuple[tuple[str, bytes], ...]:
    found = []
    for line in _text(file).splitlines():
        name, _, digits = line.strip().partition(" ")
        if not name.isascii() or not name.isalnum():
            raise _wrong(file, "has no valid form", "Each line is an id and 64 hexadecimal digits")
        found.append((name, _secret(file, digits)))
    if not found or len({name for name, _ in found}) < len(found):
        raise _wrong(file, "holds no key, or two of one id", "It needs one key or more")
    return tuple(found[:ACTIVE])


def _text(file: Path) -> str:
    try:
        found = file.lstat()
        text = file.read_text("utf-8")
    except FileNotFoundError:
        why = "Others are there, so it was lost; with a new pepper no key would work any more"
        raise _wrong(file, "is missing", why) from None
    except UnicodeDecodeError:
        raise _wrong(file, "has no valid form", "It must hold hexadecimal digits") from None
    if not stat.S_ISREG(found.st_mode):
        raise _wrong(file, "is no plain file", "Links could lead anywhere")
    _refuse_open(file)
    if not text.strip():
        raise _wrong(file, "is empty", "Anybody could sign with an empty secret")
    return text


def _secret(file: Path, text: str) -> bytes:
    digits = text.strip()
    # `fromhex` skips spaces, so that shape and length are looked at first
    if len(digits) < 2 * LENGTH:
        raise _wrong(file, "is too short", f"A secret has {2 * LENGTH} hexadecimal digits")
    try:
        found = bytes.fromhex(digits)
    except ValueError:
        found = b""
    if len(found) * 2 != len(digits):
        raise _wrong(file, "has no valid form", f"It must be {2 * LENGTH} hexadecimal digits")
    if len(set(found)) < VARIETY:
        raise _wrong(file, "can be guessed", "It has too few different bytes to be random")
    return found


def _refuse_open(path: Path) -> None:
    mode = path.stat().st_mode
    if sys.platform != "win32" and mode & OTHERS:
        wanted = "700" if stat.S_ISDIR(mode) else "600"
        raise ConfigurationError(
            f"`{path}` is open to other users of this machine.",
            why=f"Its mode is {stat.S_IMODE(mode):o}; secrets are for their owner alone.",
            remedy=f"Run `chmod {wanted} {path}`, and change the secrets if others have used it.",
        )


def _wrong(file: Path, what: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"The gateway's secret `{file.name}` {what}.",
        why=f"{why}. It lies in `{file.parent}`.",
        remedy="Restore it from a backup, or empty the folder: then all keys and links end.",
    )


def secrets_folder(settings: Settings) -> Path:
    """Where the gateway keeps its own secrets."""
    return settings.server_secrets or settings.home / "server"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One process at a time: two that start at once must not both make secrets, nor lists."""
    if sys.platform == "win32":
        yield
        return
    file = os.open(folder, os.O_RDONLY)
    try:
        # a file system without locks has one gateway, or folders that were made before
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)
