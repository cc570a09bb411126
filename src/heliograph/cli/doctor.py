"""`heliograph doctor`: is everything in place to make a picture, and if not, what to do.

Invariant: it costs nothing, sends the key to the configured upstream only, and says of the key
where it was found, never what it is.
"""

import asyncio
import platform
import shutil
import struct
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from heliograph.cli.ask import Flag
from heliograph.cli.budget import Account, accounts
from heliograph.cli.check import KEY, OTHER, UPSTREAM, Check, State, failed
from heliograph.cli.ledger import audit, summary
from heliograph.cli.screen import print_json, print_lines, size_text
from heliograph.cli.session import open_client, open_library
from heliograph.client import AsyncHeliograph
from heliograph.errors import (
    ConfigurationError,
    CredentialRejected,
    HeliographError,
    MissingKey,
    StorageError,
)
from heliograph.imaging import VipsImager
from heliograph.imaging.process import COMMAND
from heliograph.money import dollars, parse_dollars
from heliograph.planning import DEFAULT_MODEL, Model, catalogue
from heliograph.planning.nearest import names as nearest_names
from heliograph.planning.normalise import model as spelled
from heliograph.providers.http import Listing
from heliograph.settings import Settings, describe_keys, find_keys, load_settings
from heliograph.upstream import Access

PACKAGES = ("heliograph", "aiohttp", "pyvips", "sqlalchemy", "pydantic-settings", "cyclopts")
PICTURE = 60 * 10**6  # bytes that a 4K answer needs while it is received, checked and kept
LITTLE_DISK = 2 * 10**9
FAR_OFF = 60  # seconds
WORKER_TIMEOUT = 20.0
UNITS = (("days", 86400), ("hours", 3600), ("minutes", 60))  # seconds each


def doctor(
    *,
    server: Flag = False,
    json: Annotated[Flag, Parameter()] = False,
    home: Path | None = None,
) -> int:
    """Check that everything is in place; each line says what to do. Costs nothing.

    Exits with 0 when nothing failed, 4 when the key is the problem, 8 when it is the upstream,
    and 1 otherwise.

    Args:
        server: Check also what the gateway needs: secrets, address, port, users, room, log.
        json: Print as JSON.
        home: Folder of the library of originals.
    """
    checks = asyncio.run(examine(home, server=server))
    failed = {c.exit_code for c in checks if c.state is State.FAIL}
    code = next((c for c in (KEY, UPSTREAM, OTHER) if c in failed), 0)
    if json:
        rows = [
            {"name": c.name, "state": c.state.value, "finding": c.finding, "remedy": c.remedy}
            for c in checks
        ]
        print_json({"ok": code == 0, "exit_code": code, "checks": rows})
        return code
    print_lines(
        f"{c.state.value:<4}  {c.name:<8}  {c.finding}" + (f" → {c.remedy}" if c.remedy else "")
        for c in checks
    )
    return code


async def examine(home: Path | None, *, server: bool = False) -> list[Check]:
    """All checks in order; what does not depend on broken settings is checked even then."""
    try:
        settings = load_settings(home=home)
    except ConfigurationError as error:
        return [check_versions(), failed("settings", error, OTHER), await check_workers()]
    (key, upstream), library, workers = await asyncio.gather(
        _key_and_upstream(settings, home), _library(home), check_workers()
    )
    listing = upstream if isinstance(upstream, tuple) else None
    of_server: list[Check] = []
    if server:
        from heliograph.cli.server_checks import examine_server

        of_server = await examine_server(settings, home)
    return [
        check_versions(),
        *check_settings(settings),
        *key,
        *([_answered(*listing)] if listing else []),
        _model(settings.model or DEFAULT_MODEL, listing),
        *([_clock(listing[1])] if listing else []),
        _disk(settings.home.absolute()),
        *library,
        workers,
        *of_server,
    ]


def check_versions(packages: Sequence[str] = PACKAGES) -> Check:
    """Python, and whether what we are built on is installed."""
    try:
        found = ", ".join(f"{name} {version(name)}" for name in packages)
    except PackageNotFoundError as error:
        return Check(
            name="python",
            state=State.FAIL,
            finding=f"{error.name} is not installed",
            remedy="Install Heliograph again: pip install --force-reinstall heliograph",
            exit_code=OTHER,
        )
    return Check(name="python", finding=f"Python {platform.python_version()}, {found}")


def check_settings(settings: Settings) -> list[Check]:
    """How calls are made, what is used again, and what bounds spending; all of it is valid."""
    again = (
        "an unknown outcome is asked for once more, and may be paid twice"
        if settings.retry_unknown
        else "an unknown outcome is never asked for again"
    )
    waits = (
        f"{settings.connect_timeout:g} s to connect, {settings.write_timeout:g} s to send, "
        f"{settings.answer_timeout:g} s to the first byte and {settings.late_timeout:g} s more for "
        f"a late picture, {settings.silence_timeout:g} s of silence, "
        f"{settings.call_timeout:g} s in all"
    )
    pictures = {
        "off": "no earlier picture answers",
        "seeded": f"earlier pictures answer requests with a seed for {_span(settings.cache_ttl)}",
        "all": f"earlier pictures answer for {_span(settings.cache_ttl)}",
    }[settings.cache]
    most = settings.spend_per_10_minutes
    limit = f"at most {dollars(parse_dollars(most))}" if most else "no limit of ours"
    zone = settings.budget_zone
    return [
        Check(name="calls", finding=f"by {settings.transport}: {waits}; {again}"),
        Check(
            name="reuse",
            finding=f"{pictures}; an idempotency key for {_span(settings.idempotency_ttl)}",
        ),
        Check(name="budget", finding=f"days and months begin in {zone}; {limit} in ten minutes"),
    ]


def _span(seconds: float) -> str:
    """Seconds in the largest unit that they fill more than once."""
    for unit, length in UNITS:
        if seconds >= 2 * length:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"


Answer = tuple[Access, Listing]


async def _key_and_upstream(
    settings: Settings, home: Path | None
) -> tuple[list[Check], Answer | None]:
    """Which key is used, whether the upstream takes it, and what that answered."""
    key = await asyncio.to_thread(_key, settings)
    if key.state is State.FAIL:
        return [key], None
    try:
        async with open_client(simulate=None, home=home) as client:
            return [key], await client.check_models()
    except MissingKey as error:
        return [failed("key", error, KEY)], None
    except CredentialRejected as error:
        return [key, failed("upstream", error, KEY)], None
    except ConfigurationError as error:
        return [key, failed("upstream", error, OTHER)], None
    except HeliographError as error:
        return [key, failed("upstream", error, UPSTREAM)], None


def _key(settings: Settings) -> Check:
    if settings.simulate and not settings.base_url:
        return Check(name="key", finding="none is needed: `simulate` is set, the emulator is used")
    try:
        keys = find_keys(settings)
    except MissingKey:
        if settings.base_url:
            # an emulator wants none; a real upstream will say so
            return Check(name="key", finding="none found")
        return Check(
            name="key",
            state=State.WARN,
            finding="none found, so the local emulator is used and every picture is simulated",
            remedy="For real ones set GEMINI_API_KEY, or run: heliograph auth set",
        )
    except ConfigurationError as error:
        return failed("key", error, KEY)
    finding = describe_keys(keys) if len(keys) > 1 else keys[0].origin
    if keys[0].note:
        return Check(name="key", state=State.WARN, finding=finding, remedy=keys[0].note)
    return Check(name="key", finding=finding)


def _answered(access: Access, listing: Listing) -> Check:
    if access.simulated:
        where = f"the local emulator answers at {access.base_url}; every picture is simulated"
    else:
        where = f"{access.base_url} accepts the key"
    finding = f"{where} ({len(listing.models)} models, {listing.seconds:.1f} s)"
    return Check(name="upstream", finding=finding)


def _model(wanted: str, listing: Answer | None) -> Check:
    """The default model against our catalogue and against what the upstream lists."""
    facts = catalogue()
    name = spelled(wanted)
    model = facts.models.get(name)
    if model is None or model.status != "live":
        return _dead_model(name, model)
    if listing is None:
        return Check(
            name="model",
            state=State.WARN,
            finding=f"{name} is live by our catalogue of {model.checked}; nobody could be asked",
        )
    if name not in listing[1].models:
        alive = [m.id for m in facts.live if m.id in listing[1].models]
        return Check(
            name="model",
            state=State.FAIL,
            finding=f"the upstream does not list {name}",
            remedy=f"Set another: heliograph config set model {alive[0]}"
            if alive
            else "Check the base URL and the key's project.",
            exit_code=UPSTREAM,
        )
    if model.shut_down is not None:
        return Check(
            name="model",
            state=State.WARN,
            finding=f"{name} is live until {model.shut_down}",
            remedy=f"Move to {model.replacement or DEFAULT_MODEL}.",
        )
    return Check(name="model", finding=f"{name} is live")


def _dead_model(name: str, model: Model | None) -> Check:
    if model is None:
        near = nearest_names(name, [m.id for m in catalogue().live])
        finding, instead = f"{name} is no known model", next(iter(near), DEFAULT_MODEL)
    else:
        since = f" since {model.shut_down}" if model.shut_down else ""
        finding, instead = f"{name} is {model.status}{since}", model.replacement or DEFAULT_MODEL
    return Check(
        name="model",
        state=State.FAIL,
        finding=finding,
        remedy=f"Use {instead}: heliograph config set model {instead}",
        exit_code=OTHER,
    )


def _clock(listing: Listing) -> Check:
    if listing.ahead is None:
        return Check(name="clock", state=State.WARN, finding="the upstream says no date")
    off = round(abs(listing.ahead))
    finding = f"{off} s {'ahead of' if listing.ahead > 0 else 'behind'} the upstream"
    if off > FAR_OFF:
        return Check(
            name="clock",
            state=State.WARN,
            finding=finding,
            remedy="Set the clock; certificates and monthly sums depend on it.",
        )
    return Check(name="clock", finding=finding if off > 1 else "agrees with the upstream")


def _disk(home: Path) -> Check:
    place = next(p for p in (home, *home.parents) if p.is_dir())
    try:
        return check_space(home, shutil.disk_usage(place).free)
    except OSError as error:
        return Check(name="disk", state=State.WARN, finding=f"cannot be measured: {error}")


def check_space(home: Path, free: int) -> Check:
    """Free bytes against what a picture needs."""
    finding = f"{free / 10**9:.1f} GB free for {home}"
    if free < LITTLE_DISK:
        return Check(
            name="disk",
            state=State.FAIL if free < PICTURE else State.WARN,
            finding=f"{finding}; a 4K picture needs {size_text(PICTURE)} while it is made",
            remedy="Free some space, or move the library: heliograph config set home FOLDER",
            exit_code=OTHER,
        )
    return Check(name="disk", finding=finding)


async def _library(home: Path | None) -> list[Check]:
    try:
        async with open_library(home) as client:
            folder = client.settings.home
            await client.images(limit=1)
            await asyncio.to_thread(_write_once, folder)
            found = Check(name="library", finding=f"{folder} can be written, its database opens")
            return [found, *await _books(client)]
    except (StorageError, ConfigurationError) as error:
        return [failed("library", error, OTHER)]


async def _books(client: AsyncHeliograph) -> list[Check]:
    """Calls that wait for somebody, budgets that are used up, and whether it all adds up."""
    sums = await audit(client)
    books = Check(name="books", finding=f"add up: {summary(sums)}")
    if sums.findings:
        first = f"{sums.findings[0].subject}: {sums.findings[0].what}"
        books = Check(
            name="books",
            state=State.FAIL,
            finding=f"{len(sums.findings)} things do not add up, such as {first}",
            remedy="All of them: heliograph ledger verify",
            exit_code=OTHER,
        )
    journal = Check(name="journal", finding="no call has an unknown outcome")
    real = sums.doubtful - sums.simulated
    if real:
        held = sum(balance.held for balance in sums.balances if not balance.simulated)
        journal = Check(
            name="journal",
            state=State.WARN,
            finding=f"{'1 call has' if real == 1 else f'{real} calls have'} an unknown outcome "
            f"and may have cost {dollars(held)}",
            remedy="See which: heliograph calls list --doubtful",
        )
    elif sums.simulated:
        finding = f"no call but {sums.simulated} simulated has an unknown outcome"
        journal = replace(journal, finding=finding)
    if sums.open:
        calls = "1 call is" if sums.open == 1 else f"{sums.open} calls are"
        journal = replace(journal, finding=f"{journal.finding}; {calls} not finished")
    return [journal, _limits(await accounts(client)), books]


def _limits(found: Sequence[Account]) -> Check:
    limited = [a for a in found if a.limit is not None and not a.balance.simulated]
    if not limited:
        return Check(name="limits", finding="no budget is set")
    finding = ", ".join(
        f"{a.called} has {dollars(a.left or 0)} of {dollars(a.limit or 0)} left" for a in limited
    )
    if all(a.left for a in limited):
        return Check(name="limits", finding=finding)
    return Check(
        name="limits",
        state=State.WARN,
        finding=finding,
        remedy="Raise what is used up: heliograph budget set NAME AMOUNT",
    )


def _write_once(folder: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"heliograph")
    except OSError as error:
        raise StorageError(
            "The library folder cannot be written.",
            why=str(error),
            remedy="Give this user write access, or choose another: heliograph config set home …",
        ) from error


async def check_workers(command: Sequence[str] = COMMAND) -> Check:
    """Start a worker and let it decode a picture made here."""
    with tempfile.TemporaryDirectory(prefix="heliograph-") as folder:
        picture = Path(folder) / "check.png"
        picture.write_bytes(tiny_png())
        imager = VipsImager(workers=1, inspect_timeout=WORKER_TIMEOUT, command=command)
        try:
            found = await imager.inspect(picture)
        except StorageError as error:
            return failed("workers", error, OTHER)
        finally:
            await imager.close()
    if not found.intact:
        return Check(
            name="workers",
            state=State.FAIL,
            finding=f"a worker cannot decode a picture that is whole: {found.defect}",
            remedy="Install libvips again: pip install --force-reinstall pyvips-binary",
            exit_code=OTHER,
        )
    return Check(name="workers", finding="start and decode")


def tiny_png(side: int = 16) -> bytes:
    """A whole grey picture."""
    rows = (b"\0" + b"\x80" * side) * side
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunks(struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0), zlib.compress(rows))
    )


def _chunks(header: bytes, data: bytes) -> Iterator[bytes]:
    for kind, body in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b"")):
        yield struct.pack(">I", len(body)) + kind + body
        yield struct.pack(">I", zlib.crc32(kind + body))
