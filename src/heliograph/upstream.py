"""Which upstream paid calls go to, and with whose key.

Invariant: a key goes only to the host it belongs to, encrypted or on this machine; what is asked
to be simulated never reaches a real upstream.
"""

import asyncio
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from heliograph.errors import ConfigurationError, MissingKey
from heliograph.providers.emulated import Emulator, start_emulator
from heliograph.providers.gemini import HOST
from heliograph.providers.http import Channel, Deadlines
from heliograph.settings import Key, Settings, find_key

EMULATOR_KEY = "emulator-needs-no-real-key"


@dataclass(frozen=True, kw_only=True)
class Access:
    """Which upstream is used, and with whose key."""

    simulated: bool
    base_url: str
    key_origin: str
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """A way to the upstream, ready for calls."""

    channel: Channel
    deadlines: Deadlines
    access: Access
    emulator: Emulator | None  # when it was started here


async def dial(
    settings: Settings, api_key: str | None, ledger: Path, emulator_options: Sequence[str]
) -> Upstream:
    """A channel to the configured upstream, which is started if it is the emulator.

    Args:
        api_key: overrides every configured key.
        ledger: file for the bill of an emulator that is started here.
        emulator_options: its further command line options.

    Raises:
        MissingKey: there is no key for a real upstream.
        ConfigurationError: the address must not be used, or the emulator does not start.
    """
    limits = Deadlines(
        connect=settings.connect_timeout,
        first_byte=settings.answer_timeout,
        call=settings.call_timeout,
        patience=settings.patience,
    )
    emulator: Emulator | None = None
    if settings.simulate and not settings.base_url:
        emulator = await start_emulator(ledger, *emulator_options)
    base_url = emulator.url if emulator else settings.base_url or HOST

    def channel(key: str) -> Channel:
        return Channel(base_url, settings.api_version, key, limits)

    if emulator is not None:
        access = Access(simulated=True, base_url=base_url, key_origin="none (simulated)")
        made = channel(api_key or EMULATOR_KEY)
    else:
        made, access = await _reach(settings, api_key, base_url, channel)
    return Upstream(channel=made, deadlines=limits, access=access, emulator=emulator)


async def _reach(
    settings: Settings, api_key: str | None, base_url: str, channel: Callable[[str], Channel]
) -> tuple[Channel, Access]:
    """A channel to an upstream that runs already, with a key only where one belongs."""
    local = is_loopback(base_url)
    if local and await _is_emulator(channel(EMULATOR_KEY)):
        return _reach_emulator(settings, api_key, base_url, channel)
    if settings.simulate:
        raise ConfigurationError(
            f"{base_url} is no emulator, but simulated pictures are asked for.",
            remedy="Unset the base URL, or leave out simulate to call it for real.",
        )
    if base_url.startswith("http://") and not local:
        raise ConfigurationError(
            f"{base_url} is not encrypted; the API key would be readable on the way.",
            remedy="Use https, or http on this machine only.",
        )
    key = await asyncio.to_thread(find_key, settings, given=api_key)
    access = Access(simulated=False, base_url=base_url, key_origin=key.origin, note=key.note)
    return channel(key.secret), access


def _reach_emulator(
    settings: Settings, api_key: str | None, base_url: str, channel: Callable[[str], Channel]
) -> tuple[Channel, Access]:
    """An emulator that runs already wants a key only if it was told to."""
    try:
        key = find_key(settings, given=api_key)
    except MissingKey:
        key = Key(secret=EMULATOR_KEY, origin="none (simulated)")
    access = Access(simulated=True, base_url=base_url, key_origin=key.origin, note=key.note)
    return channel(key.secret), access


async def _is_emulator(channel: Channel) -> bool:
    try:
        return await channel.answers("/_emulator/healthz")
    finally:
        await channel.close()


def is_loopback(url: str) -> bool:
    """Whether an address can only be on this machine; names that merely look so do not count."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
