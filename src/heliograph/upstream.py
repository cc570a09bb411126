"""Which upstream paid calls go to, and with whose key.

Invariant: a key goes only to the host it belongs to, encrypted or on this machine; what is asked
to be simulated never reaches a real upstream.
"""

import asyncio
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from heliograph.errors import ConfigurationError, MissingKey
from heliograph.ports import Cabinet, Provider
from heliograph.providers.calling import Caller
from heliograph.providers.emulated import Emulator, start_emulator
from heliograph.providers.files import Files
from heliograph.providers.gemini import HOST, Gemini
from heliograph.providers.http import Channel, Deadlines
from heliograph.providers.pool import Place
from heliograph.providers.room import Room
from heliograph.settings import Key, Settings, describe_keys, find_keys

ANY_KEY = "emulator-needs-no-real-key"
NO_KEY = Key(secret=ANY_KEY, origin="none (simulated)", project="emulator")
Keys = str | Mapping[str, str] | None  # a key, or several by the label of their project


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

    channels: Mapping[Place, Channel]  # one for each key
    deadlines: Deadlines
    access: Access
    emulator: Emulator | None  # when it was started here

    @property
    def channel(self) -> Channel:
        """The channel of the preferred key."""
        return next(iter(self.channels.values()))

    def provider(
        self, transport: str, cabinet: Cabinet | None = None, files: str = "auto"
    ) -> Provider:
        """The provider that makes calls through these channels.

        Args:
            cabinet: remembers uploads; without it every picture is sent inline.
            files: "auto", "always" or "never": which pictures are uploaded.
        """
        caller = Caller(self.channels, self.deadlines)
        store = Files(self.channels, cabinet) if cabinet is not None else None
        simulated = self.access.simulated
        if transport == Gemini.transport:
            return Gemini(caller, simulated=simulated, files=store, mode=files)
        from heliograph.providers.interactions import Interactions

        return Interactions(
            caller, simulated=simulated, deadlines=self.deadlines, files=store, mode=files
        )

    async def close(self) -> None:
        """Close the connections, and the emulator that was started for them."""
        for channel in self.channels.values():
            await channel.close()
        if self.emulator is not None:
            await self.emulator.close()


async def dial(
    settings: Settings, api_key: Keys, ledger: Path, emulator_options: Sequence[str]
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
        write=settings.write_timeout,
        first_byte=settings.answer_timeout,
        between=settings.silence_timeout,
        call=settings.call_timeout,
        late=settings.late_timeout,
        patience=settings.patience,
    )
    emulator: Emulator | None = None
    if settings.simulate and not settings.base_url:
        emulator = await start_emulator(ledger, *emulator_options)
    base_url = emulator.url if emulator else settings.base_url or HOST

    room = Room(settings.bodies_at_once)

    def channel(key: str) -> Channel:
        return Channel(base_url, settings.api_version, key, limits, room)

    if emulator is not None:
        simulated = True
        keys = _given(api_key) or (NO_KEY,)
    else:
        simulated, keys = await _reach(settings, api_key, base_url, channel)
    return Upstream(
        channels=_channels(keys, channel),
        deadlines=limits,
        access=Access(
            simulated=simulated,
            base_url=base_url,
            key_origin=describe_keys(keys) if keys != (NO_KEY,) else NO_KEY.origin,
            note=" ".join(key.note for key in keys if key.note) or None,
        ),
        emulator=emulator,
    )


def _channels(keys: Sequence[Key], channel: Callable[[str], Channel]) -> dict[Place, Channel]:
    found: dict[Place, Channel] = {}
    for key in keys:
        number = sum(place.project == key.project for place in found)
        found[Place(project=key.project, key=number)] = channel(key.secret)
    return found


def _given(api_key: Keys) -> tuple[Key, ...]:
    if api_key is None:
        return ()
    if isinstance(api_key, str):
        return (Key(secret=api_key, origin="the argument", project="default"),)
    return tuple(
        Key(secret=secret, origin="the argument", project=label)
        for label, secret in api_key.items()
    )


async def _reach(
    settings: Settings, api_key: Keys, base_url: str, channel: Callable[[str], Channel]
) -> tuple[bool, tuple[Key, ...]]:
    """Whether the upstream is an emulator, and the keys for it: only where they belong."""
    local = is_loopback(base_url)
    if local and await _is_emulator(channel(NO_KEY.secret)):
        try:
            # an emulator that runs already wants a key only if it was told to
            return True, await _keys(settings, api_key)
        except MissingKey:
            return True, (NO_KEY,)
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
    return False, await _keys(settings, api_key)


async def _keys(settings: Settings, api_key: Keys) -> tuple[Key, ...]:
    if isinstance(api_key, Mapping):
        return _given(api_key)
    return await asyncio.to_thread(find_keys, settings, given=api_key)


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
